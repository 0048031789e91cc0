"""The tests that mutants are shown to, collected once and run in forks of one process.

    parent   imports everything, collects the tests, and never runs one
      ├─ fork    runs them all:  which lines each test reaches, and how long it takes
      ├─ fork    mutant 1: swaps the code of one function, runs the tests that reach its line
      ├─ fork    mutant 2: …                      ends with the first test that fails

So a mutant costs what its tests cost and nothing else: no start, no import, no file that changes.
Test files that have killed mutants of the same module go first, then the quick ones, until a mutant
has seen every test that reaches its line, or enough of them: what is let go counts as a survivor.
A test that takes far more processor time than it should is ended by the kernel,
which endless loops cannot keep from it, and counts as a kill, like one that takes all the memory.

Invariants (held by tests/unit/test_mutation.py):
  1. A mutant runs in a process of its own; the next one finds everything as it was.
  2. A mutant that loops for ever is ended, and is killed.
"""

from __future__ import annotations

import faulthandler
import gc
import math
import os
import resource
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Final

import coverage
import msgspec
import pytest

from tests.mutation.operators import Mutant

SURVIVED: Final = 0
FAILED: Final = 3
TEST_S_MIN: Final = 5.0  # of processor time, for the quickest test
SLOWER_MAX: Final = 8.0  # times as slow as it was with the code as it is
WAITING_S_MAX: Final = 900.0  # for a test that waits for what never comes
MEMORY_BYTES_MAX: Final = 4 << 30  # what a mutant may take


class Measured(msgspec.Struct):
    """What is known of one test: its processor time, and the lines that it reaches, by path."""

    seconds: float
    lines: dict[str, list[int]]


class Verdict(msgspec.Struct):
    """What became of one mutant: the test that killed it, or None."""

    killed_by: str | None
    tests: int
    seconds: float


class KillSuite:
    """A pytest plugin: instead of running the tests it hands them to `work`, which asks it."""

    def __init__(
        self, folder: Path, work: Callable[[KillSuite], None], *, mutant_s_max: float
    ) -> None:
        """Mutants are shown tests of `mutant_s_max` seconds of processor time at most."""
        self.folder = folder
        self._work = work
        self._mutant_s_max = mutant_s_max
        self._items: list[pytest.Item] = []
        self._measured: dict[str, Measured] = {}
        self._kills: defaultdict[str, Counter[str]] = defaultdict(Counter)  # module: test file
        self._coverage: coverage.Coverage | None = None
        self._limits: dict[str, float] = {}
        self._failed: str | None = None
        self._seconds: dict[str, float] = {}

    # --- what pytest calls --------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = list(session.items)
        self._work(self)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, bool, bool]:
        if self._coverage is not None:
            self._coverage.switch_context(item.nodeid)
        limit_s = self._limits.get(item.nodeid)
        began_s = time.process_time()
        if limit_s is not None:
            faulthandler.dump_traceback_later(WAITING_S_MAX, exit=True, file=_NOWHERE)
            most = math.ceil(began_s + limit_s)
            resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
        done = yield
        self._seconds[item.nodeid] = time.process_time() - began_s
        return done

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self._failed is None:
            self._failed = report.nodeid

    # --- what `work` asks ---------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many tests there are."""
        return len(self._items)

    def measure(self, packages: Sequence[str]) -> float:
        """Run all tests once with the code as it is, and note what they reach; seconds taken.

        Raises:
          RuntimeError: a test fails, so no mutant could be judged.
        """
        began_s = time.monotonic()
        code, said = in_a_fork(lambda tell: self._measure(packages, tell), is_mutant=False)
        if code != SURVIVED:
            raise RuntimeError(f"the tests fail without any mutant: {said.decode()}")
        self._measured = msgspec.json.decode(said, type=dict[str, Measured])
        return time.monotonic() - began_s

    def judge(self, mutant: Mutant, code: CodeType) -> Verdict:
        """Run the tests that reach a mutant, until one fails."""
        began_s = time.monotonic()
        chosen = self._chosen(mutant)
        killer: str | None = None
        ended, said = in_a_fork(lambda tell: self._run_mutant(mutant, code, chosen, tell))
        if ended != SURVIVED:
            if not said:
                raise RuntimeError(f"{mutant.name} could not be put in place")
            killer = said.decode().splitlines()[-1]  # the last that began
            self._kills[mutant.path][killer.partition("::")[0]] += 1
        return Verdict(killer, len(chosen), time.monotonic() - began_s)

    def _chosen(self, mutant: Mutant) -> list[pytest.Item]:
        """The tests that reach a mutant's line: file by file, since files share what they open."""
        by_file: defaultdict[str, list[pytest.Item]] = defaultdict(list)
        for item in self._items:
            if mutant.line in self._measured[item.nodeid].lines.get(mutant.path, ()):
                by_file[item.nodeid.partition("::")[0]].append(item)
        kills = self._kills[mutant.path]

        def seconds(item: pytest.Item) -> float:
            return self._measured[item.nodeid].seconds

        def order(file: str) -> tuple[int, float]:
            return -kills[file], sum(map(seconds, by_file[file]))

        chosen: list[pytest.Item] = []
        left_s = self._mutant_s_max
        for file in sorted(by_file, key=order):
            for item in sorted(by_file[file], key=seconds):
                left_s -= seconds(item)
                if left_s >= 0 or not chosen:
                    chosen.append(item)
        return chosen

    # --- what happens in a fork ---------------------------------------------------------------

    def _measure(self, packages: Sequence[str], tell: Callable[[bytes], None]) -> int:
        self._coverage = coverage.Coverage(
            data_file=None,
            include=[str(self.folder / package / "*") for package in packages],
            config_file=False,
        )
        self._coverage.start()
        for item, following in _with_next(self._items):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed is not None:
                tell(self._failed.encode())
                return FAILED
        self._coverage.stop()
        lines: defaultdict[str, dict[str, list[int]]] = defaultdict(dict)
        data = self._coverage.get_data()
        for filename in data.measured_files():
            path = str(Path(filename).relative_to(self.folder))
            for line, tests in data.contexts_by_lineno(filename).items():
                for test in tests:
                    lines[test].setdefault(path, []).append(line)
        measured = {
            item.nodeid: Measured(self._seconds[item.nodeid], lines[item.nodeid])
            for item in self._items
        }
        tell(msgspec.json.encode(measured))
        return SURVIVED

    def _run_mutant(
        self,
        mutant: Mutant,
        code: CodeType,
        chosen: list[pytest.Item],
        tell: Callable[[bytes], None],
    ) -> int:
        for item in chosen:
            measured_s = self._measured[item.nodeid].seconds
            self._limits[item.nodeid] = TEST_S_MIN + SLOWER_MAX * measured_s
        swap_code(str(self.folder / mutant.path), code)
        for item, following in _with_next(chosen):
            tell(item.nodeid.encode() + b"\n")
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed is not None:
                return FAILED
        return SURVIVED


def swap_code(filename: str, code: CodeType) -> int:
    """Give every function that was made of the same `def` this code; how many there are."""
    swapped = 0
    for found in gc.get_objects():
        if isinstance(found, FunctionType):
            had = found.__code__
            if (had.co_filename, had.co_qualname, had.co_firstlineno) == (
                filename,
                code.co_qualname,
                code.co_firstlineno,
            ):
                found.__code__ = code
                swapped += 1
    return swapped


def in_a_fork(
    run: Callable[[Callable[[bytes], None]], int], *, is_mutant: bool = True
) -> tuple[int, bytes]:
    """Run something in a fork; its exit code and what it tells.

    A mutant prints nothing, and has bounded memory.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.dup2(_NOWHERE, 1)
        if is_mutant:
            os.dup2(_NOWHERE, 2)
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = FAILED
        try:
            code = run(lambda said: _write_all(writing, said))
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)
    os.close(writing)
    said = bytearray()
    while part := os.read(reading, 1 << 20):
        said += part
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), bytes(said)


def _write_all(file: int, said: bytes) -> None:
    view = memoryview(said)
    while view:
        view = view[os.write(file, view) :]


def _with_next(items: Sequence[pytest.Item]) -> Iterable[tuple[pytest.Item, pytest.Item | None]]:
    return zip(items, [*items, None][1:], strict=True)


_NOWHERE: Final = os.open(os.devnull, os.O_WRONLY)
