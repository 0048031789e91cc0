"""Blocks of real answers: entities once, edges as positions."""

from __future__ import annotations

from itertools import pairwise

import ormdb
from ormdb import Entity, Field, Many, One, field, many, one
from ormdb.ir.result import GraphBlocks
from ormdb.ir.value import IntType


class Kind(Entity):
    name: Field[str] = field(identity=True)


class Owner(Entity):
    id: Field[int] = field(identity=True)
    pets: Many[Pet] = many(inverse="owner")


class Pet(Entity):
    id: Field[int] = field(identity=True)
    owner: One[Owner] = one()
    kind: One[Kind | None] = one()


def blocks() -> GraphBlocks:
    db = ormdb.open(":memory:", schema=[Kind, Owner, Pet])
    db.insert_many([Kind(name="cat"), Kind(name="dog")])
    db.insert_many([Owner(id=1), Owner(id=2), Owner(id=3)])
    given = [(1, 1, "cat"), (2, 1, "cat"), (3, 3, None), (4, 3, "dog")]
    for number, owner, kind in given:
        to = None if kind is None else Kind.key(kind)
        db.insert(Pet(id=number, owner=Owner.key(owner), kind=to))
    return db.fetch(Owner.include(Owner.pets.include(Pet.kind))).blocks


def test_an_entity_appears_once_in_its_block_however_many_reach_it() -> None:
    for block in blocks().entities:
        identities = list(
            zip(*(block.columns[block.fields.index(name)] for name in block.identity), strict=True)
        )
        assert len(set(identities)) == len(identities) == len(block)
    kinds = blocks().entities[2]
    assert (kinds.path, sorted(kinds.columns[0])) == (("pets", "kind"), ["cat", "dog"])


def test_targets_are_positions_in_the_block_of_the_same_path() -> None:
    found = blocks()
    sizes = {block.path: len(block) for block in found.entities}
    for edge in found.edges:
        parents = sizes[edge.path[:-1]]
        assert all(-1 <= target < sizes[edge.path] for target in edge.targets)
        if edge.offsets is None:
            assert len(edge.targets) == parents
        else:
            assert len(edge.offsets) == parents + 1
            assert all(start <= stop for start, stop in pairwise(edge.offsets))
            assert edge.offsets[-1] == len(edge.targets)


def test_a_to_one_that_leads_nowhere_is_minus_one() -> None:
    edge = blocks().edges[1]
    assert edge.offsets is None
    assert list(edge.targets).count(-1) == 1


def test_edges_are_buffers_of_eight_bytes_each() -> None:
    many, one = blocks().edges
    offsets = many.offset_buffer()
    assert offsets is not None
    assert (offsets.tolist(), one.offset_buffer()) == (list(many.offsets or ()), None)
    assert one.target_buffer().tolist() == list(one.targets)
    assert one.target_buffer().itemsize == 8


def test_a_block_says_the_type_of_each_of_its_columns() -> None:
    for block in blocks().entities:
        assert len(block.types) == len(block.fields) == len(block.columns)
    assert blocks().entities[0].types == (IntType(),)
