"""Holds that partial, inverted and full text indexes have exactly the entries that rows ask for,
now and as of every version, whatever was written, rolled back and loaded."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import ormdb
from ormdb import Database
from ormdb.catalog.text import bundle_from_text
from ormdb.errors import UniqueError
from ormdb.ir.evaluate import evaluate
from ormdb.ir.expr import Expr
from ormdb.ir.graph import GraphQuery
from ormdb.ir.mutation import Delete, Insert, Mutation, Update
from ormdb.ir.value import RowDict, Value
from ormdb.model.expression_text import parse_expression
from ormdb.session import Reader
from tests.box import Box

SCHEMA = bundle_from_text(
    """ormdb schema 1

entity Ticket
  identity id
  id: int
  state: enum("open", "closed")
  title: text
  notes: text?
  rank: int?
  tags: list(text)
  sizes: list(int)?
  data: json?
  index open_ranks on rank desc where state == "open"
  index few on title, rank where rank > 2 and notes is not None
  unique index one_open on title where state == "open"
  inverted index by_tags on tags
  inverted index by_sizes on sizes where state != "open"
  inverted index by_data on data
  full text index words on title, notes
  full text index note_words on notes where rank is not None
"""
)
WORDS = ("storm", "storms", "the", "delay", "delayed", "jet")
FILTERS = (
    'state == "open" and rank > 1',
    'state == "open" and rank is None',
    'state == "closed" and rank > 1',
    'rank > 3 and notes is not None and title == "storm"',
    'rank >= 3 and notes == "jet"',
    "rank > 1 and notes is not None",
    'state == "open" and title == "storm"',
    'state in ("open",) and title == "jet delay"',
    'has(tags, "jet")',
    'has(tags, "jet") and has(tags, "storm")',
    "has(sizes, 2)",
    'has(sizes, 2) and state == "closed"',
    'has(sizes, 2) and state != "open" and has(sizes, 1)',
    'has_key(data, "a")',
    'contains_json(data, {"a": 1})',
    'contains_json(data, {"a": [{}]})',
    "contains_json(data, {})",
    "contains_json(data, [1])",
    "contains_json(data, 1)",
    'contains_json(data, {"b": {"a": 1}}) and has_key(data, "b")',
    'matches(title, notes, "storm jet")',
    'matches(title, notes, "the")',
    'matches(notes, "delays")',
    'matches(notes, "delays") and rank is not None',
    'matches(notes, "delays") and rank > 1',
    'not matches(title, notes, "storm")',
    'matches(title, notes, "jet") or has(tags, "jet")',
)


class Model:
    """A database, and its rows as plain dicts, by version."""

    def __init__(self, rng: random.Random, database: Database) -> None:
        self.rng = rng
        self.database = database
        self.rows: dict[Value, RowDict] = {}
        self.versions: dict[int, dict[Value, RowDict]] = {database.version: {}}
        self.refused = 0

    def step(self) -> None:
        """One commit, or one that is rolled back."""
        rng, before = self.rng, dict(self.rows)
        roll = rng.random()
        if roll < 0.15:
            rows = [row for row in self._new_rows(6) if self._fits(row)]
            self.database.bulk_load("Ticket", [dict(row) for row in rows])
            self.rows |= {row["id"]: row for row in rows}
        elif roll < 0.6:
            self._write(self.database.run_mutations, rng.randint(1, 4))
        else:
            txn = self.database.transaction()
            for _ in range(rng.randint(1, 3)):
                self._write(txn.run_mutations, 1)
            self.compare(txn, self.rows)
            if rng.random() < 0.4:
                txn.rollback()
                self.rows = before
            else:
                txn.commit()
        self.versions[self.database.version] = dict(self.rows)

    def compare(self, reader: Reader, rows: dict[Value, RowDict], as_of: int | None = None) -> int:
        """The answers to some filters against those of the evaluator; how many there were."""
        chosen = self.rng.sample(FILTERS, 8)
        for text in chosen:
            condition = parse_expression(text)
            query = GraphQuery(entity="Ticket", filter=condition, select=("id",), as_of=as_of)
            found = [row["id"] for row in reader.run_fetch(query).dicts()]
            assert found == kept(condition, rows), (text, as_of)
        return len(chosen)

    def _write(self, run: object, count: int) -> None:
        mutations, before = list[Mutation](), dict(self.rows)
        clashes = False
        for _ in range(count):
            mutation = self._mutation()
            clashes = self._apply(mutation) or clashes
            mutations.append(mutation)
        assert callable(run)
        if not clashes:
            run(mutations)
            return
        self.rows = before
        self.refused += 1
        with pytest.raises(UniqueError, match="one_open") as caught:
            run(mutations)
        assert caught.value.details["constraint"] == "one_open"
        assert 'among rows with state == "open"' in caught.value.message

    def _apply(self, mutation: Mutation) -> bool:
        """Apply a mutation to the plain rows; whether it repeats what has to be unique."""
        match mutation:
            case Insert(rows=rows):
                clashes = False
                for row in rows:
                    clashes = clashes or not self._fits(row)
                    self.rows[row["id"]] = row
                return clashes
            case Update(identity=(number,), changes=changes):
                after = self.rows.pop(number) | changes
                clashes = not self._fits(after)
                self.rows[number] = after
                return clashes
            case Delete(identities=identities):
                for (number,) in identities:
                    del self.rows[number]
                return False
            case _:
                raise AssertionError(mutation)

    def _mutation(self) -> Mutation:
        rng, numbers = self.rng, list(self.rows)
        roll = rng.random()
        if roll < 0.4 or not numbers:
            return Insert(entity="Ticket", rows=tuple(self._new_rows(rng.randint(1, 3))))
        if roll < 0.8:
            names = rng.sample([name for name in self._row() if name != "id"], rng.randint(1, 3))
            changes = {name: value for name, value in self._row().items() if name in names}
            return Update(entity="Ticket", identity=(rng.choice(numbers),), changes=changes)
        gone = rng.sample(numbers, min(len(numbers), rng.randint(1, 2)))
        return Delete(entity="Ticket", identities=tuple((number,) for number in gone))

    def _fits(self, row: RowDict) -> bool:
        if row["state"] != "open":
            return True
        others = [each for each in self.rows.values() if each["id"] != row["id"]]
        return all((each["state"], each["title"]) != ("open", row["title"]) for each in others)

    def _new_rows(self, count: int) -> Iterator[RowDict]:
        titles = set[Value]()
        free = [number for number in range(1, 60) if number not in self.rows]
        for number in self.rng.sample(free, min(count, len(free))):
            row = self._row() | {"id": number}
            if row["title"] not in titles:
                titles.add(row["title"])
                yield row

    def _row(self) -> RowDict:
        rng = self.rng
        text = " ".join(rng.choices(WORDS, k=rng.randint(0, 3)))
        data: list[Value] = [
            *(None, {}, [], [1, "x"], {"a": 1}, {"a": 1.0, "b": {"a": 1}}, {"b": {"a": 1}}),
            *({"a": [{}, {"c": True}]}, {"a": [{"c": 1}]}, {"c": "\0"}, True, 1),
        ]
        return {
            "id": 0,
            "state": rng.choice(["open", "closed"]),
            "title": rng.choice([*WORDS, text, "jet delay"]),
            "notes": rng.choice([None, text, "x" * 600]),
            "rank": rng.choice([None, 1, 2, 3, 4, 5]),
            "tags": tuple(rng.choices(WORDS, k=rng.randint(0, 4))),
            "sizes": rng.choice([None, (), (1,), (2, 2), (1, 2)]),
            "data": rng.choice(data),
        }


def kept(condition: Expr, rows: dict[Value, RowDict]) -> list[Value]:
    """The identities of the rows that a filter keeps, in their order."""
    return sorted(n for n, row in rows.items() if evaluate(condition, row) is True)


def run_series(seed: int, folder: Path | None) -> int:
    rng = random.Random(seed)
    path = ":memory:" if folder is None else folder / f"{seed}.ormdb"
    compared = 0
    with ormdb.open(path, schema=SCHEMA, durability="none") as database:
        model = Model(rng, database)
        for _ in range(14):
            model.step()
            compared += model.compare(database, model.rows)
        for version, rows in model.versions.items():
            compared += model.compare(database, rows, as_of=version)
        report = database.check(deep=True)
        assert report.problems == ()
        if folder is not None:
            with ormdb.open(path, schema=SCHEMA, read_only=True) as other:
                compared += model.compare(other, model.rows)
        database.reclaim(keep_versions=3)
        assert database.check(deep=True).problems == ()
        compared += model.compare(database, model.rows, as_of=database.version)
    return compared


@pytest.mark.soak(seconds=10, cases_min=1_500)
def test_every_kind_of_index_answers_as_a_look_at_all_rows(box: Box, tmp_path: Path) -> None:
    for seed in box.seeds():
        box.count(run_series(seed, None if seed % 3 else tmp_path))
