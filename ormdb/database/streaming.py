"""Streams of a database, a snapshot or a transaction: a fetch that is consumed batch by batch.

    db.stream(query)              a snapshot of its own ─▶ closed with the stream
    snapshot.stream(query)        the snapshot's        ─▶ which stays open
    prepared.stream(code="JFK")   whichever its reader has

A stream that nobody refers to any more takes its snapshot with it: the engine notices, as for any
snapshot that was dropped, when the next one begins.  So nothing here has a finalizer, which might
run in the middle of what it would have to lock.

Invariants (held by tests/unit/database/test_stream.py):
  1. A stream that is exhausted, closed, dropped or broken by an error holds no commit.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from typing import Self, TypeAlias

from ormdb.database.observing import QueryCall, Watch
from ormdb.ir.graph import GraphQuery
from ormdb.observe.observer import Observer
from ormdb.query.assemble import GraphAnswer
from ormdb.query.fetch import Reading
from ormdb.query.prepared import Given, PreparedQuery
from ormdb.query.stream import stream, stream_ready

# What begins to answer through a reading.
Begin: TypeAlias = Callable[[Reading], Generator[GraphAnswer]]


class GraphStream:
    """The batches of one fetch (the protocol is `session.AnswerStream`)."""

    __slots__ = ("_answers", "_on_close", "_turn")

    def __init__(
        self,
        answers: Generator[GraphAnswer],
        turn: AbstractContextManager[object],
        on_close: Callable[[], None],
    ) -> None:
        self._answers: Generator[GraphAnswer] | None = answers
        self._turn = turn
        self._on_close = on_close

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> GraphAnswer:
        if self._answers is None:
            raise StopIteration
        try:
            with self._turn:
                return next(self._answers)
        except BaseException:  # also at its end, which is a StopIteration
            self.close()
            raise

    def close(self) -> None:
        """Let go of what it reads from.  Closing twice is harmless."""
        answers, self._answers = self._answers, None
        if answers is not None:
            with self._turn:
                answers.close()
            self._on_close()


def observed_stream(
    observer: Observer,
    reading: Reading,
    query: GraphQuery,
    *,
    batch: int,
    proceed: Callable[[], None],
) -> Generator[GraphAnswer]:
    """`stream`, watched as one call from its first batch to its last if anybody watches."""
    answers = stream(reading, query, batch=batch, proceed=proceed)
    if not observer.is_watching():
        return _each(answers)
    return _watched(observer, reading, query, answers)


def observed_prepared_stream(
    observer: Observer,
    reading: Reading,
    prepared: PreparedQuery,
    given: Given,
    *,
    batch: int,
    proceed: Callable[[], None],
) -> Generator[GraphAnswer]:
    """`observed_stream` of a prepared query; whoever watches sees the query it means."""
    if observer.is_watching():
        bound = prepared.bound(given)
        return observed_stream(observer, reading, bound, batch=batch, proceed=proceed)
    ready = prepared.ready(reading.plans, reading.layout, given)
    return _each(stream_ready(reading, ready, batch=batch, proceed=proceed))


def _each(answers: Iterator[GraphAnswer]) -> Generator[GraphAnswer]:
    yield from answers


def _watched(
    observer: Observer, reading: Reading, query: GraphQuery, answers: Iterator[GraphAnswer]
) -> Generator[GraphAnswer]:
    with Watch(observer, QueryCall("fetch", reading, query), reading.view, reading.clock) as watch:
        for answer in answers:
            watch.rows += answer.statistics.rows
            watch.edges += answer.statistics.edges
            try:
                yield answer
            except GeneratorExit:
                return  # whoever consumes it has enough, which is no failure
