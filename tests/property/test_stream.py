"""Holds that a stream gives what a fetch does, over generated schemas, rows and queries."""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager

import pytest

import ormdb
from ormdb.ir.graph import GraphQuery
from ormdb.ir.schema import SchemaBundle
from ormdb.session import Answer, Context, Reader
from tests.box import Box
from tests.oracle.compare import DifferenceError, compare_world
from tests.oracle.prepared import PreparedSession, PreparedWriter


def fetch_and_stream(reader: Reader, query: GraphQuery, context: Context | None) -> Answer:
    """The answer of a fetch, once a stream has given the same."""
    answer = reader.run_fetch(query, context=context)
    if query.page.before is None:
        batch = random.Random(len(repr(query))).choice([1, 2, 7, 1000])
        batches = list(reader.run_stream(query, batch=batch, context=context))
        streamed = [row for each in batches for row in each.dicts()]
        lengths = [len(each) for each in batches]
        # All are full but the last, which has something.
        is_even = set(lengths[:-1]) <= {batch} and all(0 < length <= batch for length in lengths)
        if streamed != answer.dicts() or not is_even:
            raise DifferenceError(f"a stream in batches of {batch} gives {lengths}: {query!r}")
    return answer


class StreamedWriter(PreparedWriter):
    def run_fetch(self, query: GraphQuery, *, context: Context | None = None) -> Answer:
        return fetch_and_stream(self.writer, query, context)


class StreamedSession(PreparedSession):
    def run_fetch(self, query: GraphQuery, *, context: Context | None = None) -> Answer:
        return fetch_and_stream(self.session, query, context)

    @contextmanager
    def begin(self, *, context: Context | None = None) -> Generator[StreamedWriter]:
        with self.session.begin(context=context) as writer:
            yield StreamedWriter(writer)


@contextmanager
def open_streamed(bundle: SchemaBundle) -> Generator[StreamedSession]:
    with ormdb.open(":memory:", schema=bundle) as database:
        yield StreamedSession(database)


@pytest.mark.soak(seconds=15, cases_min=1_000)
def test_streams_give_what_fetches_give(box: Box) -> None:
    for seed in box.seeds():
        box.count(compare_world(seed, open_streamed).compared)
