"""A fetch of any size as typed objects, read batch by batch while they are consumed.

    with db.stream(Flight.include(Flight.plane), batch=500) as flights:
        for flight in flights: ...                      objects, one after the other
        for result in flights.batches(): ...            or a Result of 500 at a time

Whatever is not referred to any more is let go of with its batch.

Invariants (held by tests/unit/database/test_stream.py):
  1. A stream that is exhausted, closed or dropped holds no commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ormdb.ir.value import RowDict
from ormdb.model.result import Result
from ormdb.session import AnswerStream

E = TypeVar("E")


class Stream(Generic[E]):
    """The rows of an answer of any size; each is given once."""

    __slots__ = ("_answers", "_classes", "_entity", "_row_iterator")

    def __init__(
        self, answers: AnswerStream, entity: type[E], classes: Callable[[str], type[Any]]
    ) -> None:
        self._answers = answers
        self._entity = entity
        self._classes = classes
        self._row_iterator: Iterator[E] = iter(())

    def batches(self) -> Iterator[Result[E]]:
        """What is left, as results of a batch each."""
        for answer in self._answers:
            yield Result(answer, self._entity, self._classes)

    def dicts(self) -> Iterator[RowDict]:
        """What is left, as nested dicts."""
        for answer in self._answers:
            yield from answer.dicts()

    def close(self) -> None:
        """Read no further, and let go of the commit.  Closing twice is harmless."""
        self._row_iterator = iter(())
        self._answers.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> E:
        for row in self._row_iterator:
            return row
        rows = Result(next(self._answers), self._entity, self._classes)
        self._row_iterator = iter(rows)
        return next(self._row_iterator)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Stream of {self._entity.__name__}>"
