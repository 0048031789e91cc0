"""A hostel as plain dicts: what a change means, and what a question answers at a version.

    PlainHostel      every row of one version, by number; a mutation makes another one
    Change           "member 3, score 5, club b": drawn at random, made fit for the state
    answer           what a reader says to a question       expected   what the dicts say to it

A change never breaks a constraint: it inserts what is not there, changes what is, and deletes what
nothing refers to.  Answers are nested dicts and lists, which two processes can send each other.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

from ormdb.catalog.declared import normalize
from ormdb.ir.mutation import Delete, Insert, Mutation, Update
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.table import TableQuery
from ormdb.ir.value import RowDict, Value
from ormdb.session import Reader
from tests.oracle.hostel import CODES, GRAPHS, IDS, NOWHERE, QUESTIONS, ROOMS
from tests.oracle.naive import Naive
from tests.oracle.names import Names
from tests.oracle.prepared import PreparedReader
from tests.oracle.tables import NaiveTables

T = TypeVar("T")
Way: TypeAlias = Literal["fetch", "prepared", "stream", "count"]
WAYS: Final[tuple[Way, ...]] = ("fetch", "prepared", "stream", "count")
Kind: TypeAlias = Literal["club", "member", "members", "fan", "stay", "room", "again", "drop"]
KINDS: Final[tuple[Kind, ...]] = (
    *("member", "member", "member", "stay", "stay", "club"),
    *("fan", "room", "members", "again", "drop", "drop"),
)
IDENTITIES: Final[Mapping[str, str]] = {
    "Club": "code",
    "Member": "id",
    "Fan": "id",
    "Room": "number",
    "Stay": "id",
}
# Who refers to a row so that it may not go: the entity, its field, and the field referred to.
REFERRERS: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "Club": [("Member", "club_code")],
    "Member": [("Member", "mentor_id"), ("Stay", "member_id")],
    "Fan": [],
    "Room": [("Stay", "room_number")],
    "Stay": [],
}


@dataclass(frozen=True, slots=True)
class Ask:
    """A question by its number, and by which way it is asked if it is a graph."""

    number: int
    way: Way = "fetch"

    @property
    def is_get(self) -> bool:
        """Whether it asks for one row by its identity."""
        return isinstance(QUESTIONS[self.number], tuple)

    def __str__(self) -> str:
        return f"{self.way} of {QUESTIONS[self.number]}"


@dataclass(frozen=True, slots=True)
class Change:
    """What is to happen to which row; `a` and `b` choose values and what it refers to."""

    kind: Kind
    number: int
    a: int
    b: int


class Moves:
    """Draws what to do next from a number."""

    def __init__(self, number: int) -> None:
        self._random = random.Random(number)

    def below(self, count: int) -> int:
        """A number."""
        return self._random.randrange(count)

    def chance(self, of_ten: int) -> bool:
        """True in so many cases of ten."""
        return self._random.randrange(10) < of_ten

    def one_of(self, things: Sequence[T]) -> T:
        return self._random.choice(things)

    def ask(self) -> Ask:
        """One question."""
        if self.chance(7):
            way = self.one_of(WAYS) if self.chance(5) else "fetch"
            return Ask(self.below(len(GRAPHS)), way)
        return Ask(len(GRAPHS) + self.below(len(QUESTIONS) - len(GRAPHS)))

    def asks(self, most: int = 3) -> list[Ask]:
        """One question or several."""
        return [self.ask() for _ in range(1 + self.below(most))]

    def changes(self, least: int = 1, most: int = 3) -> list[Change]:
        """Of few rows, so that the same ones change again."""
        return [
            Change(self.one_of(KINDS), self.below(6), self.below(10), self.below(7))
            for _ in range(self._random.randint(least, most))
        ]


@dataclass(slots=True)
class PlainHostel:
    """Every row of one version."""

    names: Names
    tables: dict[str, dict[int, RowDict]]
    clubs_made: int = 0
    _naive: Naive | None = field(default=None, repr=False)

    @classmethod
    def empty(cls, bundle: SchemaBundle) -> PlainHostel:
        names = Names(normalize(bundle))
        return cls(names, {name: {} for name in names.entities})

    @property
    def naive(self) -> Naive:
        """What answers questions about these rows."""
        if self._naive is None:
            self._naive = Naive(self.names, self.tables)
        return self._naive

    def find(self, entity: str, identity: Value) -> tuple[int, RowDict] | None:
        """A row and its number, by the one field of its identity."""
        name = IDENTITIES[entity]
        for number, row in self.tables[entity].items():
            if row[name] == identity:
                return number, row
        return None

    def apply(self, mutation: Mutation) -> PlainHostel:
        """The rows after a mutation that breaks no constraint."""
        tables = {name: dict(table) for name, table in self.tables.items()}
        after = PlainHostel(self.names, tables, self.clubs_made)
        table = tables[mutation.entity]
        match mutation:
            case Insert(rows=rows):
                for row in rows:
                    table[after._number(mutation.entity, row)] = row
            case Update(identity=(one,), changes=changes):
                found = self.find(mutation.entity, one)
                assert found is not None
                table[found[0]] = {**found[1], **changes}
            case Delete(identities=identities):
                for (one,) in identities:
                    found = self.find(mutation.entity, one)
                    assert found is not None
                    del table[found[0]]
            case _:
                raise AssertionError(f"{mutation} has an identity of one value")
        return after

    def _number(self, entity: str, row: RowDict) -> int:
        """Rows come by an int identity, clubs in the order they were made."""
        if entity == "Club":
            self.clubs_made += 1
            return self.clubs_made
        return cast("int", row[IDENTITIES[entity]])

    # --- changes --------------------------------------------------------------------------------

    def mutations(self, change: Change) -> list[Mutation]:
        """What a change is at this state; nothing where it cannot be."""
        return _MAKERS[change.kind](self, change)

    def identities(self, entity: str) -> list[Value]:
        """Of every row."""
        return [row[IDENTITIES[entity]] for row in self.tables[entity].values()]

    def chosen(self, entity: str, number: int) -> Value:
        """The identity of some row, or None; always so where there is none."""
        found = self.identities(entity)
        number %= len(found) + 1
        return None if number == len(found) else found[number]

    def is_referred(self, entity: str, identity: Value) -> bool:
        """Whether a row may not go."""
        return any(
            row[name] == identity and not (source == entity and row["id"] == identity)
            for source, name in REFERRERS[entity]
            for row in self.tables[source].values()
        )

    def put(self, entity: str, identity: Value, row: RowDict, a: int) -> list[Mutation]:
        """Insert a row, or change one field of it or all."""
        name = IDENTITIES[entity]
        if self.find(entity, identity) is None:
            return [Insert(entity=entity, rows=({name: identity, **row},))]
        fields = list(row)
        if a % 2 and len(fields) > 1:
            fields = [fields[a // 2 % len(fields)]]
        changes = {each: row[each] for each in fields}
        return [Update(entity=entity, identity=(identity,), changes=changes)]


def _put_club(state: PlainHostel, change: Change) -> list[Mutation]:
    code = CODES[change.number % len(CODES)]
    return state.put("Club", code, {"name": f"name {change.a % 5}"}, change.b)


def _put_member(state: PlainHostel, change: Change) -> list[Mutation]:
    row: RowDict = {
        "score": change.a % 10,
        "club_code": state.chosen("Club", change.b),
        "mentor_id": state.chosen("Member", change.a + change.b),
    }
    return state.put("Member", change.number % IDS, row, change.a + change.b)


def _put_members(state: PlainHostel, change: Change) -> list[Mutation]:
    club, there = state.chosen("Club", change.b), set(state.identities("Member"))
    free = [n for n in range(IDS) if n not in there][: 1 + change.a]
    rows = [{"id": n, "score": n, "club_code": club, "mentor_id": None} for n in free]
    return [Insert(entity="Member", rows=tuple(rows))] if rows else []


def _put_fan(state: PlainHostel, change: Change) -> list[Mutation]:
    code = (*CODES, NOWHERE)[change.a % (len(CODES) + 1)]
    return state.put("Fan", change.number % IDS, {"club_code": code}, 0)


def _put_room(state: PlainHostel, change: Change) -> list[Mutation]:
    row: RowDict = {"beds": change.a, "facts": {"seen": [change.a, change.b]}}
    return state.put("Room", change.number % ROOMS, row, change.b)


def _put_stay(state: PlainHostel, change: Change) -> list[Mutation]:
    members, rooms = state.identities("Member"), state.identities("Room")
    if not members or not rooms:
        return []
    row: RowDict = {
        "nights": change.a % 4,
        "member_id": members[change.b % len(members)],
        "room_number": rooms[(change.a + change.b) % len(rooms)],
    }
    return state.put("Stay", change.number % IDS, row, change.a)


def _put_again(state: PlainHostel, change: Change) -> list[Mutation]:
    """A row that goes and comes under its identity in one commit."""
    entity = ("Fan", "Club", "Stay", "Member")[change.a % 4]
    identity = state.chosen(entity, change.number)
    found = state.find(entity, identity)
    if found is None or state.is_referred(entity, identity):
        return []
    row = dict(found[1])
    name = {"Fan": "club_code", "Club": "name", "Stay": "nights", "Member": "score"}[entity]
    row[name] = CODES[change.b % 4] if entity in {"Fan", "Club"} else change.b
    if row.get("mentor_id") == identity:
        row["mentor_id"] = None
    return [Delete(entity=entity, identities=((identity,),)), Insert(entity=entity, rows=(row,))]


def _drop(state: PlainHostel, change: Change) -> list[Mutation]:
    entity = tuple(IDENTITIES)[change.a % len(IDENTITIES)]
    identity = state.chosen(entity, change.number)
    if identity is None or state.is_referred(entity, identity):
        return []
    return [Delete(entity=entity, identities=((identity,),))]


_MAKERS: Final[Mapping[Kind, Callable[[PlainHostel, Change], list[Mutation]]]] = {
    "club": _put_club,
    "member": _put_member,
    "members": _put_members,
    "fan": _put_fan,
    "room": _put_room,
    "stay": _put_stay,
    "again": _put_again,
    "drop": _drop,
}


def first_commits() -> list[list[Mutation]]:
    """Rows of every entity, of which each is then changed, and some go: no space stays unused."""
    members: list[RowDict] = [
        {"id": n, "score": n, "club_code": "ab"[n % 2], "mentor_id": n - 1 if n else None}
        for n in range(5)
    ]
    stays: list[RowDict] = [
        {"id": n, "nights": n, "member_id": n % 3, "room_number": n % 2} for n in range(5)
    ]
    rows: dict[str, list[RowDict]] = {
        "Club": [{"code": code, "name": f"name {n}"} for n, code in enumerate(CODES)],
        "Member": members,
        "Fan": [{"id": n, "club_code": code} for n, code in enumerate((*CODES, NOWHERE))],
        "Room": [{"number": n, "beds": n, "facts": {"seen": [n]}} for n in range(ROOMS)],
        "Stay": stays,
    }
    begun: list[Mutation] = [Insert(entity=name, rows=tuple(own)) for name, own in rows.items()]
    changed: list[Mutation] = [
        Update(entity="Club", identity=("a",), changes={"name": "name 4"}),
        Update(entity="Member", identity=(4,), changes={"club_code": None, "mentor_id": 1}),
        Update(entity="Fan", identity=(1,), changes={"club_code": NOWHERE}),
        Update(entity="Room", identity=(1,), changes={"beds": 9}),
        Update(entity="Stay", identity=(1,), changes={"member_id": 2, "room_number": 3}),
    ]
    gone: list[Mutation] = [
        Delete(entity="Stay", identities=((4,),)),
        Delete(entity="Member", identities=((4,),)),
        Delete(entity="Fan", identities=((4,),)),
        Delete(entity="Room", identities=((2,),)),
        Delete(entity="Club", identities=(("d",),)),
    ]
    return [begun, changed, gone]


# --- questions ----------------------------------------------------------------------------------


def answer(reader: Reader, ask: Ask, as_of: int | None = None) -> Any:
    """What a reader says; as of a version only where the question itself can say so."""
    question = QUESTIONS[ask.number]
    if isinstance(question, tuple):
        assert as_of is None, "a get has no version of its own"
        return reader.run_get(*question)
    if isinstance(question, TableQuery):
        block = reader.run_table(replace(question, as_of=as_of))
        names = [column.name for column in block.columns]
        return [dict(zip(names, row, strict=True)) for row in zip(*block.values, strict=True)]
    query = replace(question, as_of=as_of)
    match ask.way:
        case "fetch":
            return reader.run_fetch(query).dicts()
        case "prepared":
            return PreparedReader(reader).run_fetch(query).dicts()
        case "count":
            return reader.run_count(query)
        case "stream":
            return [row for one in reader.run_stream(query, batch=3) for row in one.dicts()]


def expected(state: PlainHostel, ask: Ask) -> Any:
    """What the plain rows say."""
    question = QUESTIONS[ask.number]
    if isinstance(question, tuple):
        entity, (identity,) = question
        found = state.find(entity, identity)
        return None if found is None else found[1]
    if isinstance(question, TableQuery):
        return NaiveTables(state.naive).answer(question)
    if ask.way == "count":
        return state.naive.count(question.entity, question.filter)
    return state.naive.fetch(question)


def told(found: Any) -> str:
    """An answer as text, in which equal ones are equal; lists keep their order."""
    return json.dumps(found, sort_keys=True)


def spoil(found: object) -> None:
    """Change whatever can be changed of an answer: it belongs to who asked."""
    if isinstance(found, dict):
        items = cast("dict[str, object]", found)
        for value in items.values():
            spoil(value)
        items["spoiled"] = True
    elif isinstance(found, list):
        values = cast("list[object]", found)
        for value in values:
            spoil(value)
        values.append("spoiled")
