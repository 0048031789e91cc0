"""A contestant's seat: the runner's end of a worker process.

with Seat("sqlite3", "benches.by_sqlite:BySqlite", folder, sizes) as seat:
    seat.ask("fill")
    seat.ask("time", case="page graph", number=100, calls=1, seconds_max=0.5)     [0.0071]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from benches.data import Sizes

ROOT: Final = Path(__file__).parent.parent  # where the package of the workers is found


class WorkerError(Exception):
    """A worker failed; the message ends with what it printed."""


class Seat:
    """One worker process, asked one thing at a time."""

    def __init__(self, name: str, place: str, folder: Path, sizes: Sizes) -> None:
        self.name = name
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "benches.worker", place, str(folder.resolve())]
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  (closed with the seat)
        self._process = subprocess.Popen(
            [*command, json.dumps(asdict(sizes))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=ROOT,
            encoding="utf-8",
        )

    def ask(self, do: str, **given: object) -> Any:
        """Have something done, and wait for the answer.

        Raises:
          WorkerError: it failed.
        """
        orders, answers = self._pipes()
        try:
            orders.write(json.dumps({"do": do, **given}) + "\n")
            orders.flush()
            line = answers.readline()
        except BrokenPipeError:
            line = ""
        reply: dict[str, Any] = json.loads(line) if line else {"error": self._said()}
        if "error" in reply:
            raise WorkerError(f"{self.name} failed at {do} {given or ''}:\n{reply['error']}")
        return reply["ok"]

    def close(self) -> None:
        """Let the process end."""
        orders, answers = self._pipes()
        orders.close()
        self._process.wait()
        answers.close()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None, "made with pipes"
        assert self._process.stdout is not None, "made with pipes"
        return self._process.stdin, self._process.stdout

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-4_000:]
