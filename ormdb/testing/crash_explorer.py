"""The crash explorer: what a loss of power may leave of a database, state by state.

    explorer = CrashExplorer("tests.crash.shop:Shop", folder)
    report = explorer.explore(states=5_000)
    report.problems      ()            every state opened, sound, with all that was acknowledged

A workload runs once under `strace`, which sees every byte that it writes and the commits that it
acknowledges.  From these the states are made that a disk may hold when the power fails (see
`crash_states`), and each is opened by another process, as the program would be started again:

    lost       a commit that was acknowledged is not there
    ahead      a commit is there that nobody had begun
    torn       rows are not as the newest commit, or an older one, left them
    damage     a deep check finds something: pages, rows, entries, edges, history, log, catalog
    wrong      the workload's own question got an answer that cannot be
    refused    it cannot be opened or read          died       … and takes the process with it
    untyped    something ended with an error that is not of ormdb

Invariants (held by tests/unit/testing/test_crash_explorer.py):
  1. A state that kills the process that looks at it is reported, and the others are looked at.
  2. A database that promises nothing is caught: `durability="none"` loses commits.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ormdb.storage.engine import Durability
from ormdb.testing.crash_child import DATA, MARKS, TRUTH, CrashWorkload, Journal
from ormdb.testing.crash_states import CrashState, crash_states
from ormdb.testing.crash_trace import Event, trace_process

__all__ = ["CrashExplorer", "CrashProblem", "CrashReport", "CrashWorkload", "Journal"]

_GOES_ON_EVERY: Final = 8  # states after which writing goes on as well
_PROBLEMS_MAX: Final = 100  # kept; more say the same


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashProblem:
    """Something that is wrong with one state; `at` says which one it is."""

    kind: str
    words: str
    at: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.words} ({self.at})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashReport:
    """What was looked at, and what was found."""

    states: int
    by_kind: dict[str, int]  # how many states of each kind
    found: dict[str, int]  # how many problems of each kind
    problems: tuple[CrashProblem, ...]  # the first of them

    def __str__(self) -> str:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.by_kind.items()))
        found = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.found.items()))
        return f"{self.states:,} states ({kinds}); {found or 'no problem'}"


@dataclass(slots=True)
class _Findings:
    """Gathers what the looking processes say."""

    states: int = 0
    by_kind: Counter[str] = field(default_factory=Counter[str])
    found: Counter[str] = field(default_factory=Counter[str])
    problems: list[CrashProblem] = field(default_factory=list[CrashProblem])

    def report(self) -> CrashReport:
        return CrashReport(
            states=self.states,
            by_kind=dict(self.by_kind),
            found=dict(self.found),
            problems=tuple(self.problems),
        )


class CrashExplorer:
    """Explores what crashes leave of the database of one workload.

    Args:
      workload: "module:Class", which other processes can import; see `CrashWorkload`.
      folder: where files may be made; best on a file system in memory.
      durability: how the workload's database is opened while it runs.
      seed: the same one gives the same run and, of that, the same states.
      processes: how many look at states side by side.
    """

    def __init__(
        self,
        workload: str,
        folder: Path,
        *,
        durability: Durability = "full",
        seed: int = 0,
        processes: int = 2,
    ) -> None:
        self._workload = workload
        self._folder = folder
        self._durability = durability
        self._seed = seed
        self._processes = processes
        self._events: list[Event] | None = None

    def events(self) -> list[Event]:
        """What the workload wrote, which is found out once.

        Raises:
          UnsupportedError: there is no strace, or the workload failed.
        """
        if self._events is None:
            for name in (DATA, f"{DATA}-lock", MARKS, TRUTH):
                (self._folder / name).unlink(missing_ok=True)
            command = [*_child("run", self._workload, self._folder), self._durability]
            self._events = trace_process(
                [*command, str(self._seed)],
                self._folder / DATA,
                self._folder / MARKS,
                environment=_environment(),
            )
        return self._events

    def explore(self, *, states: int, seconds: float | None = None) -> CrashReport:
        """Look at distinct states: about so many, or as many as the seconds suffice for."""
        drawn = crash_states(self.events(), states=states, seed=self._seed)
        ends_s = None if seconds is None else time.monotonic() + seconds
        findings, turn = _Findings(), threading.Lock()
        with ThreadPoolExecutor(self._processes) as pool:
            looks = [
                pool.submit(self._look, number, drawn, ends_s, findings, turn)
                for number in range(self._processes)
            ]
            for look in looks:
                look.result()
        return findings.report()

    def _look(  # called by `submit` alone
        self,
        number: int,
        drawn: Iterator[CrashState],
        ends_s: float | None,
        findings: _Findings,
        turn: threading.Lock,
    ) -> None:
        """Take states from the common iterator until there are no more."""
        looker = _Looker(self._workload, self._folder, number)
        try:
            while ends_s is None or time.monotonic() < ends_s:
                with turn:
                    state = next(drawn, None)
                    if state is None:
                        return
                    findings.states += 1
                    findings.by_kind[state.kind] += 1
                    goes_on = findings.states % _GOES_ON_EVERY == 0
                problems = looker.look(state, goes_on=goes_on)
                with turn:
                    at = f"{state.kind}, after event {state.event}, seed {self._seed}"
                    for kind, words in problems:
                        findings.found[kind] += 1
                        if len(findings.problems) < _PROBLEMS_MAX:
                            findings.problems.append(CrashProblem(kind=kind, words=words, at=at))
        finally:
            looker.close()


class _Looker:
    """A process that opens states, and is started again when one of them kills it."""

    def __init__(self, workload: str, folder: Path, number: int) -> None:
        self._command = _child("look", workload, folder)
        self._path = folder / f"state-{number}.ormdb"
        self._log = folder / f"state-{number}.log"
        self._process: subprocess.Popen[str] | None = None

    def look(self, state: CrashState, *, goes_on: bool) -> list[tuple[str, str]]:
        self._path.with_name(self._path.name + "-lock").unlink(missing_ok=True)
        self._path.write_bytes(state.content)
        given = {
            "path": str(self._path),
            "acknowledged": state.acknowledged,
            "begun": state.begun,
            "goes_on": goes_on,
        }
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(given) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if answer:
            return [(kind, words) for kind, words in json.loads(answer)]
        ending = self._end()
        said = self._log.read_text(encoding="utf-8", errors="replace")[-1_500:]
        if ending >= 0:
            return [("untyped", f"the process ended with {ending}: {said}")]
        return [("died", f"the process was ended by {signal.Signals(-ending).name}: {said}")]

    def close(self) -> None:
        if self._process is not None:
            self._end()
        for path in (self._path, self._path.with_name(self._path.name + "-lock"), self._log):
            path.unlink(missing_ok=True)

    def _start(self) -> subprocess.Popen[str]:
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_environment(),
            )
        return self._process

    def _end(self) -> int:
        assert self._process is not None
        process, self._process = self._process, None
        process.communicate()
        return process.returncode


def _child(word: str, workload: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "ormdb.testing.crash_child", word, workload, str(folder)]


def _environment() -> dict[str, str]:
    """What this process imports, its children can import."""
    paths = [path for path in sys.path if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
