"""Holds that dicts and blocks say the same, and that nothing is built that nobody asked for."""

from __future__ import annotations

import pytest

from ormdb.database.database import Database
from ormdb.ir.graph import GraphQuery, Include, Page
from ormdb.query.assemble import GraphAnswer
from tests.oracle.compare import dicts_of_blocks
from tests.oracle.names import Names
from tests.unit.query.airline import AIRLINE, among, by, compare

WHOLE = GraphQuery(
    entity="Airport",
    order=by("-code"),
    includes=(
        Include(
            relation="departures",
            alias="late",
            filter=compare(">", "delay", 20),
            order=by("-delay"),
            limit=4,
            select=("number", "late"),
            includes=(
                Include(relation="plane", filter=compare(">", "seats", 3)),
                Include(relation="crew", select=("name",)),
                Include(relation="log"),
            ),
        ),
    ),
)


@pytest.fixture
def answer(airline: Database) -> GraphAnswer:
    return airline.run_fetch(WHOLE)


def test_dicts_and_blocks_say_the_same(answer: GraphAnswer) -> None:
    assert dicts_of_blocks(Names(AIRLINE), answer.blocks, WHOLE) == answer.dicts()


def test_blocks_come_parents_first_with_one_edge_block_each(answer: GraphAnswer) -> None:
    paths = [block.path for block in answer.blocks.entities]
    below = [("late", "plane"), ("late", "crew"), ("late", "log")]
    assert paths == [(), ("late",), *below]
    assert [edge.path for edge in answer.blocks.edges] == [("late",), *below]
    assert [edge.relation for edge in answer.blocks.edges] == ["departures", "plane", "crew", "log"]


def test_a_to_many_edge_has_offsets_and_a_to_one_edge_a_target_per_parent(
    answer: GraphAnswer,
) -> None:
    many, plane, crew, log = answer.blocks.edges
    assert many.offsets == [0, 4, 8, 12]
    assert list(many.targets) == list(range(12))
    assert (plane.offsets, log.offsets) == (None, None)
    assert len(plane.targets) == len(log.targets) == 12
    assert crew.offsets is not None
    assert len(crew.offsets) == 12 + 1


def test_a_filtered_target_reads_as_none(answer: GraphAnswer) -> None:
    planes = [flight["plane"] for airport in answer.dicts() for flight in airport["late"]]
    assert None in planes
    assert all(plane is None or plane["seats"] > 3 for plane in planes)
    targets = answer.blocks.edges[1].targets
    assert [target < 0 for target in targets] == [plane is None for plane in planes]


def test_every_entity_appears_once_in_its_block(answer: GraphAnswer) -> None:
    crew = answer.blocks.entities[3]
    identities = crew.columns[crew.fields.index("id")]
    assert len(set(identities)) == len(identities) == len(crew)


def test_a_block_always_has_the_identity_and_a_dict_only_what_was_selected(
    answer: GraphAnswer,
) -> None:
    late = answer.blocks.entities[1]
    assert late.identity == ("id",)
    assert late.fields == ("id", "number", "late")
    assert list(answer.dicts()[0]["late"][0]) == ["number", "late", "plane", "crew", "log"]


def test_a_shared_entity_is_one_dict(airline: Database) -> None:
    query = GraphQuery(entity="Flight", includes=(Include(relation="origin"),))
    origins = [row["origin"] for row in airline.run_fetch(query).dicts()]
    assert len({id(origin) for origin in origins}) == 3
    assert len(origins) > 3


def test_blocks_are_built_once_and_dicts_anew(answer: GraphAnswer) -> None:
    assert answer.blocks is answer.blocks
    first, second = answer.dicts(), answer.dicts()
    assert first == second
    assert first[0] is not second[0]


def test_a_selection_of_nothing_shows_nothing(airline: Database) -> None:
    query = GraphQuery(
        entity="Flight",
        select=(),
        page=Page(limit=2),
        includes=(Include(relation="duties", select=()),),
    )
    answer = airline.run_fetch(query)
    assert answer.dicts() == [{"duties": [{}, {}]}, {"duties": [{}, {}]}]
    assert answer.blocks.entities[0].fields == ("id",)


def test_a_field_selected_twice_is_shown_once(airline: Database) -> None:
    query = GraphQuery(entity="Flight", select=("time", "id", "time"), page=Page(limit=1))
    assert [list(row) for row in airline.run_fetch(query).dicts()] == [["time", "id"]]


def test_an_answer_without_roots_has_blocks_all_the_same(airline: Database) -> None:
    query = GraphQuery(
        entity="Airport",
        filter=among("code"),
        includes=(Include(relation="departures", includes=(Include(relation="plane"),)),),
    )
    answer = airline.run_fetch(query)
    assert (len(answer), answer.dicts()) == (0, [])
    assert [len(block) for block in answer.blocks.entities] == [0, 0, 0]
    assert answer.blocks.edges[0].offsets == [0]
    assert (answer.next_cursor, answer.previous_cursor) == (None, None)


def test_blocks_carry_the_versions_and_cursors_of_their_answer(airline: Database) -> None:
    answer = airline.run_fetch(GraphQuery(entity="Flight", page=Page(limit=2)))
    assert answer.blocks.version == airline.version
    assert answer.blocks.schema_version == airline.schema.version
    assert answer.blocks.next_cursor == answer.next_cursor is not None
    assert answer.blocks.previous_cursor is None


def test_an_answer_tells_its_size_and_its_commit(answer: GraphAnswer) -> None:
    assert repr(answer).startswith("<GraphAnswer Airport: 3 roots at commit ")
