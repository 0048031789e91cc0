"""Other processes, for tests of what processes do to one another's files.

A child runs a script; both sides speak in lines.  In the script, `say(text)` sends a line and
`hear()` waits for one, so that no test has to guess how long anything takes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ormdb.storage.engine import Space

ROOT: Final = Path(__file__).parents[3]

ROWS: Final = Space("rows/1")
INDEX: Final = Space("index/1", 8)

_PRELUDE: Final = """
import os, sys
from ormdb.errors import OrmdbError
from ormdb.storage.engine import Space
from ormdb.storage.lmdb import LmdbEngine

ROWS, INDEX = Space("rows/1"), Space("index/1", 8)

def key(number):
    return number.to_bytes(8, "big")

def say(text):
    print(text, flush=True)

def hear():
    return sys.stdin.readline().strip()

path = sys.argv[1]
"""


class Child:
    """A running script."""

    def __init__(self, script: str, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + script, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def say(self, text: str) -> None:
        """Send a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        """Wait for a line; "" when the script has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def expect(self, line: str) -> None:
        """The next line is this one."""
        heard = self.hear()
        assert heard == line, f"heard {heard!r} instead of {line!r}: {self._complaint(heard)}"

    def ask(self, text: str, answer: str) -> None:
        """Send a line and expect one."""
        self.say(text)
        self.expect(answer)

    def kill(self) -> None:
        """End it the hard way."""
        self.process.kill()
        self.process.wait()

    def finish(self) -> None:
        """Wait for its end, which must be a good one."""
        _, complaint = self.process.communicate()
        assert self.process.returncode == 0, complaint

    def _complaint(self, heard: str) -> str:
        if heard:
            return "it goes on"
        _, complaint = self.process.communicate()
        return f"ended with {self.process.returncode}: {complaint}"


@contextmanager
def child(script: str, path: Path) -> Generator[Child]:
    """A script that is over when the block is."""
    running = Child(script, path)
    try:
        yield running
    finally:
        running.kill()
        for stream in (running.process.stdin, running.process.stdout, running.process.stderr):
            assert stream is not None
            stream.close()


def run(script: str, path: Path) -> list[str]:
    """All lines that a script says until its end, which must be a good one."""
    finished = subprocess.run(
        [sys.executable, "-c", _PRELUDE + script, str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.splitlines()


def key(number: int) -> bytes:
    """A key, or an id, of 8 bytes that sorts as its number."""
    return number.to_bytes(8, "big")
