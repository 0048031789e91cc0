"""Holds which index a query goes by that holds some rows only, or tokens, and what that reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import ormdb
from ormdb import Database, Query
from ormdb.catalog.text import bundle_from_text
from ormdb.errors import QueryError
from ormdb.ir.evaluate import evaluate
from ormdb.ir.expr import FieldRef
from ormdb.ir.graph import GraphQuery, OrderSpec, Page
from ormdb.ir.value import RowDict
from ormdb.model.dynamic import classes_from_bundle
from ormdb.model.expression_text import parse_expression
from ormdb.query.explain import explain
from ormdb.query.fetch import fetch
from tests.oracle.forced import ForcedPlans

SCHEMA = bundle_from_text(
    """ormdb schema 1

entity Ticket
  identity id
  id: int
  state: enum("open", "closed")
  owner: text
  rank: int?
  notes: text?
  tags: list(text)
  data: json?
  index open_ranks on rank where state == "open"
  index closed_ranks on rank desc where state == "closed"
  index by_rank on rank
  unique index one_open on owner where state == "open"
  inverted index by_tags on tags
  inverted index by_data on data where rank is not None
  full text index words on owner, notes
"""
)
COUNT = 300


def rows() -> list[RowDict]:
    return [
        {
            "id": number,
            "state": "closed" if number % 10 else "open",
            "owner": f"owner {number}",
            "rank": number % 7 or None,
            "notes": f"storm {'delay' if number % 50 == 0 else 'over'} York {number}",
            "tags": ("all", f"tag{number % 100}"),
            "data": {"n": number % 5, "even": number % 2 == 0},
        }
        for number in range(COUNT)
    ]


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with ormdb.open(":memory:", schema=SCHEMA, cache_bytes=0) as opened:
        opened.bulk_load("Ticket", rows())
        yield opened


def asked(text: str, *order: str, limit: int | None = None) -> GraphQuery:
    specs = tuple(
        OrderSpec(key=FieldRef(path=(name.removeprefix("-"),)), descending=name.startswith("-"))
        for name in order
    )
    return GraphQuery(
        entity="Ticket", filter=parse_expression(text), order=specs, page=Page(limit=limit)
    )


def way(database: Database, query: GraphQuery) -> str:
    """The way that a query takes, as its explanation spells it."""
    lines = str(database.run_explain(query)).splitlines()
    line = next(line for line in lines if line.split()[:1] == ["way"])
    return " ".join(line.split()[1:])


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        (
            'state == "open" and rank > 5',
            (),
            'index open_ranks (rank > ?) where state == "open"',
        ),
        (
            'state == "closed"',
            ("-rank",),
            (
                'index closed_ranks where state == "closed", in order, backwards, '
                "instead of index open_ranks: a value leaves what it holds"
            ),
        ),
        (
            'state == "open" and owner == "owner 10"',
            (),
            'index one_open (owner = ?) where state == "open", in order',
        ),
        ('owner == "owner 10"', (), "scan, in order"),
        ("rank > 5", (), "index by_rank (rank > ?)"),
        ('has(tags, "tag7")', (), "index by_tags (has(tags, ?)), in order"),
        ('has(tags, "tag7")', ("-id",), "index by_tags (has(tags, ?)), in order, backwards"),
        ('has(tags, "tag7")', ("rank",), "index by_tags (has(tags, ?))"),
        (
            'has_key(data, "n") and rank is not None',
            (),
            "index by_data (has_key(data, ?)) where rank is not None, in order",
        ),
        ('has_key(data, "n")', (), "scan, in order"),
        (
            'matches(notes, owner, "delay York")',
            (),
            "index words (matches(owner, notes, ?)), in order",
        ),
        ('matches(notes, "delay York")', (), "scan, in order"),
        ('not has(tags, "tag7")', (), "scan, in order"),
    ],
)
def test_a_query_goes_by_the_index_that_has_all_its_rows(
    database: Database, text: str, order: tuple[str, ...], expected: str
) -> None:
    assert way(database, asked(text, *order)) == expected


ONE_OPEN = 'index one_open (owner = ?) where state == "open"'
TAG = "index by_tags (has(tags, ?))"


@pytest.mark.parametrize(
    ("text", "expected", "keys_max", "calls"),
    [
        (
            'has(tags, "tag7") or rank == 3',
            f"union of [{TAG}; index by_rank (rank = ?)], in order",
            100,
            3,
        ),
        (
            'has(tags, "tag7") or (has(tags, "tag9") and has(tags, "all"))',
            f"union of [{TAG}; index by_tags (has(tags, ?), has(tags, ?))], in order",
            20,
            4,
        ),
        (
            'has(tags, "tag7") or (state == "open" and owner == "owner 10")',
            f"union of [{TAG}; {ONE_OPEN}], in order",
            10,
            3,
        ),
        (
            'matches(owner, notes, "delay York") or id == 7',
            "union of [index words (matches(owner, notes, ?)); identity (id = ?)], in order",
            20,
            3,
        ),
        (
            '(has(tags, "tag7") or id == 5) and rank > 1',
            f"union of [{TAG}; identity (id = ?)], in order",
            10,
            2,
        ),
        (
            '(contains_json(data, {"n": 1}) and rank == 3) or id == 3',
            (
                "union of [index by_data (contains_json(data, ?)) where rank is not None;"
                " identity (id = ?)], in order"
            ),
            110,
            2,
        ),
        (
            'has(tags, "tag7") or (state == "closed" and rank == 3)',
            (
                f"union of [{TAG}; index by_rank (rank = ?)], in order, instead of union of index"
                " by_tags, index open_ranks: a value leaves what it holds"
            ),
            100,
            3,
        ),
        (
            "(contains_json(data, {}) and rank is not None) or id == 3",
            (
                "union of [index by_rank (rank is not None); identity (id = ?)], in order, instead"
                " of union of index by_data, identity: a value leaves what it holds"
            ),
            600,
            2,
        ),
        ('has(tags, "tag7") or notes == "x"', "scan, in order", 300, 1),
    ],
)
def test_alternatives_go_by_partial_indexes_and_tokens_as_by_others(
    database: Database, text: str, expected: str, keys_max: int, calls: int
) -> None:
    query = asked(text)
    assert way(database, query) == expected
    answer = database.run_fetch(query)
    assert answer.statistics.engine_calls == calls
    assert answer.statistics.keys_read <= keys_max
    condition = parse_expression(text)
    assert [row["id"] for row in answer.dicts()] == [
        row["id"] for row in rows() if evaluate(condition, row) is True
    ]


@pytest.mark.parametrize(
    ("text", "pair", "expected"),
    [
        ('has(tags, "tag7") and rank == 2', ("by_tags", "by_rank"), [107]),
        (
            'has(tags, "tag10") and state == "open" and rank > 1',
            ("open_ranks", "by_tags"),
            [10, 110],
        ),
        (
            'matches(notes, owner, "delay York") and has(tags, "tag50")',
            ("by_tags", "words"),
            [50, 150, 250],
        ),
    ],
)
def test_what_partial_indexes_and_tokens_lead_to_is_held_against_other_ways(
    database: Database, text: str, pair: tuple[str, str], expected: list[int]
) -> None:
    query, plans, found, way = asked(text), ForcedPlans(), set[tuple[str | None, ...]](), 0
    with database.snapshot() as snapshot:
        while way < plans.ways:
            plans = ForcedPlans(way)
            reading = replace(snapshot.reading(query), plans=plans)
            assert [row["id"] for row in fetch(reading, query).dicts()] == expected
            access = explain(reading, query, analyze=False).root.access
            if access is not None and access.kind == "intersection":
                found.add(tuple(part.name for part in access.parts))
            way += 1
    assert pair in found


def test_one_plan_takes_the_partial_index_that_the_values_allow(database: Database) -> None:
    instead = ", instead of index open_ranks: a value leaves what it holds"
    planned = way(database, asked('state == "open" and rank == 3'))
    assert planned == 'index open_ranks (rank = ?) where state == "open", in order'
    other = way(database, asked('state == "closed" and rank == 3'))
    held = 'index closed_ranks (rank = ?) where state == "closed", in order'
    assert other.startswith(held)
    assert other.endswith(instead)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        (
            "contains_json(data, {}) and rank > 1",
            "index by_rank (rank > ?), instead of index by_data",
        ),
        ('contains_json(data, {"n": 1}) and rank > 1', "index by_data (contains_json(data, ?))"),
    ],
)
def test_a_part_without_tokens_is_no_way_to_what_contains_it(
    database: Database, text: str, instead: str
) -> None:
    assert way(database, asked(text)).startswith(instead)
    expected = [
        row["id"]
        for row in rows()
        if row["rank"] is not None and row["rank"] > 1 and ("{}" in text or row["data"]["n"] == 1)
    ]
    assert [row["id"] for row in database.run_fetch(asked(text)).dicts()] == expected


@pytest.mark.parametrize(
    ("text", "keys_max", "calls"),
    [
        ('has(tags, "tag7")', 6, 1),
        ('has(tags, "tag7") and has(tags, "all")', 14, 3),
        ('matches(owner, notes, "delay")', 20, 1),
        ('matches(owner, notes, "delay York storm")', 600, 3),
        ('matches(owner, notes, "the and")', 0, 0),
        ('matches(owner, notes, "delay nothing")', 2, 3),
        ('state == "open" and owner == "owner 10"', 3, 1),
        ('state == "open" and rank == 3', 12, 1),
    ],
)
def test_only_what_an_index_leads_to_is_read(
    database: Database, text: str, keys_max: int, calls: int
) -> None:
    query = asked(text)
    answer = database.run_fetch(query)
    assert answer.statistics.engine_calls == calls
    assert answer.statistics.keys_read <= keys_max
    assert len(answer.dicts()) == database.run_count(query)


def test_a_page_of_a_long_list_reads_no_more_than_it_shows(database: Database) -> None:
    query = asked('has(tags, "all")', limit=3)
    assert database.run_fetch(query).statistics.keys_read < 20
    first = database.run_fetch(query)
    after = GraphQuery(
        entity="Ticket",
        filter=query.filter,
        page=Page(limit=3, after=first.next_cursor),
    )
    assert [row["id"] for row in database.run_fetch(after).dicts()] == [3, 4, 5]
    backwards = asked('has(tags, "all")', "-id", limit=3)
    assert [row["id"] for row in database.run_fetch(backwards).dicts()] == [299, 298, 297]


@pytest.mark.parametrize(
    ("text", "explained", "taken"),
    [
        ('has(tags, "tag7")', 1, 1),
        ('has(tags, "tag7") and has(tags, "all")', 3, 3),
        ('has_key(data, "n") and rank is not None', 1, 1),
        ('contains_json(data, {"n": 1, "even": True}) and rank is not None', 3, 3),
        ('matches(notes, owner, "delay York")', 3, 3),
        ('matches(notes, owner, "York")', 3, 1),  # how many words there are is no part of a plan
        ('state == "open" and rank > 5', 1, 1),
        ("rank in (3, 5)", 2, 2),
        ('rank == 6 and has(tags, "tag6")', 1, 1),
    ],
)
def test_an_explanation_says_how_many_calls_tokens_take_at_most(
    database: Database, text: str, explained: int, taken: int
) -> None:
    query = asked(text)
    assert database.run_explain(query).root.engine_calls == explained
    assert database.run_fetch(query).statistics.engine_calls == taken


@pytest.mark.parametrize(
    "parts",
    [
        ("contains_json(data, {})", 'contains_json(data, {"n": 3})'),
        ('contains_json(data, {"n": 3})', "contains_json(data, {})"),
        ("contains_json(data, {})", 'has_key(data, "n")', 'contains_json(data, {"n": 3})'),
    ],
)
def test_a_part_that_says_nothing_leaves_the_others_to_be_sought(
    database: Database, parts: tuple[str, ...]
) -> None:
    query = asked(" and ".join((*parts, "rank is not None")))
    assert way(database, query).startswith("index by_data")
    found = [row["id"] for row in database.run_fetch(query).dicts()]
    assert found == [row["id"] for row in rows() if row["id"] % 5 == 3 and row["rank"]]


def test_a_prepared_query_takes_the_way_that_each_of_its_values_allows(database: Database) -> None:
    ticket: Any = classes_from_bundle(database.schema)["Ticket"]
    state, rank = ormdb.param("state", str), ormdb.param("rank", int)
    asked: Query[Any] = ticket.where(ticket.state == state, ticket.rank == rank)
    prepared = database.prepare(asked)
    for wanted in ("open", "closed", "open"):
        expected = [row["id"] for row in rows() if (row["state"], row["rank"]) == (wanted, 3)]
        assert [row.id for row in prepared.fetch(state=wanted, rank=3)] == expected
    words = ormdb.param("words", str)
    searched: Query[Any] = ticket.where(ticket.owner.matches(words, also=ticket.notes))
    search = database.prepare(searched)
    assert [row.id for row in search.fetch(words="delay york")] == [0, 50, 100, 150, 200, 250]
    assert [row.id for row in search.fetch(words="7 york")] == [7]
    assert list(search.fetch(words="the")) == []
    with pytest.raises(QueryError, match="blank"):
        search.fetch(words=" ")
