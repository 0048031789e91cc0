"""A commit as values: what was read, what is to be done, and what it did when it was tried.

    CommitRequest  read_at 7, reads, by 'alice'
      Statement    [Insert Flight]            drew sequence 8     outcome: Flight 8
      Statement    [Update Airport JFK]       drew nothing        outcome: Airport JFK
      Statement    [Insert Airport JFK]       refused: constraint.unique

A request that arrives whole has statements without an outcome: whatever they do is told.  A
transaction has tried its statements, and its caller knows what they did; they have to do the
same when the request is run, else it is a conflict.  A refusal is an outcome as well: whoever was
told that JFK exists already relied on it.

Invariants (held by tests/unit/txn/test_group.py):
  1. A request holds nothing of an engine, so it can be run again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TypeAlias

from ormdb.errors import ConflictError, ConstraintError, NotFoundError, OrmdbError
from ormdb.ir.mutation import Mutation, MutationOutcome
from ormdb.txn.draws import Tape
from ormdb.txn.reads import ReadSet

# Errors that tell something about the rows, and not about the statement alone.
TELLING_ERRORS: tuple[type[OrmdbError], ...] = (ConstraintError, NotFoundError, ConflictError)
Outcomes: TypeAlias = tuple[MutationOutcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Mutations that are applied together, all or none."""

    mutations: tuple[Mutation, ...]
    tapes: tuple[Tape, ...] | None = None  # what each mutation drew when it was tried
    outcomes: Outcomes | None = None  # what its caller was told
    refusal: str | None = None  # the code of the error that its caller was told

    def taped(self) -> Iterator[tuple[Mutation, Tape | None]]:
        """Each mutation, and what it has to draw."""
        return zip_longest(self.mutations, self.tapes or ())


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRequest:
    """Everything a commit needs, as values: it can be sent, and run again.

    `read_at` and `schema_version` are None where nothing was read and nothing was tried.
    """

    statements: tuple[Statement, ...]
    principal: str
    read_at: int | None = None
    schema_version: int | None = None
    reads: ReadSet = field(default_factory=ReadSet)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitResult:
    """A commit that was made.  `version` is the newest one when nothing had changed."""

    version: int
    changed: bool
    outcomes: tuple[Outcomes, ...]


def request_of(mutations: tuple[Mutation, ...], principal: str) -> CommitRequest:
    """The request of mutations that were not tried before."""
    return CommitRequest(statements=(Statement(mutations=mutations),), principal=principal)
