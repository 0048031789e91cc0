"""What a check finds: problems, and counts of what it looked at.

    row        rows/3 41              row 41 of Flight fails its checksum
    missing    index/5 41             row 41 of Flight has no entry in index by_time
    log        changes 17             the log has no entry of commit 17

A problem is a fact about the file, not an error of the program: a check that finds a hundred of
them returns a hundred.  What a damaged file makes the engine raise is turned into a problem at
the edge of each section, so that the next section is still looked at.

Invariants (held by tests/unit/storage/test_check.py):
  1. At most CHECK_PROBLEMS_MAX problems are kept; the others are counted.
  2. A section that raises CorruptionError leaves a problem that names it, and ends alone.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal as Choice
from typing import TypeAlias

from ormdb import limits
from ormdb.errors import CorruptionError, FormatError
from ormdb.storage.records import ROW_NUMBER_BIAS

Kind: TypeAlias = Choice[
    "page",  # the engine's own pages
    "head",
    "catalog",
    "space",  # a space nothing in the schema accounts for, or one that cannot be walked
    "counter",
    "log",
    "row",
    "history",
    "entry",  # an entry that leads to no row, or to one of other values
    "missing",  # a row without an entry that its values ask for
    "unique",
    "relation",  # an enforced relation without its target
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: what kind of thing, of which entity, where, in a sentence."""

    kind: Kind
    entity: str | None
    place: str
    sentence: str


@dataclass(slots=True, kw_only=True)
class CheckCounts:
    """How much was looked at."""

    spaces: int = 0
    rows: int = 0
    entries: int = 0
    history_rows: int = 0
    history_entries: int = 0
    commits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """The outcome of a check.  `more` problems were found beyond those that are listed."""

    deep: bool
    version: int
    counts: CheckCounts
    problems: tuple[Problem, ...]
    more: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(slots=True)
class Findings:
    """Gathers the problems of one check."""

    problems: list[Problem] = field(default_factory=list[Problem])
    more: int = 0
    counts: CheckCounts = field(default_factory=CheckCounts)

    def add(self, kind: Kind, entity: str | None, place: str, sentence: str) -> None:
        """Keep a problem, or count it when there are too many."""
        if len(self.problems) < limits.CHECK_PROBLEMS_MAX:
            self.problems.append(Problem(kind=kind, entity=entity, place=place, sentence=sentence))
        else:
            self.more += 1

    @contextmanager
    def section(self, kind: Kind, entity: str | None, place: str) -> Generator[None]:
        """Turn damage that stops this part of the check into a problem."""
        try:
            yield
        except (CorruptionError, FormatError) as error:
            self.add(kind, entity, place, error.message)

    def report(self, *, deep: bool, version: int) -> CheckReport:
        """Everything that was found."""
        return CheckReport(
            deep=deep,
            version=version,
            counts=self.counts,
            problems=tuple(self.problems),
            more=self.more,
        )


def row_place(space: str, row_key: bytes) -> str:
    """Where a row or its entry lies."""
    return f"{space} {number_of(row_key)}"


def number_of(row_key: bytes) -> int | str:
    """The number of a row, as sentences name it; the bytes themselves if they are no row key."""
    if len(row_key) != 8:
        return row_key.hex() or "(empty key)"
    return int.from_bytes(row_key, "big") - ROW_NUMBER_BIAS
