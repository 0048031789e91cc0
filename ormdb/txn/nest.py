"""A whole graph of rows in one statement: whatever others lead to is written before them.

    0 Movie Heat            level 0     one batch of movies, one of people
    1 Person De Niro        level 0
    2 Cast -> 0, -> 1       level 1     one batch of edges, with the numbers that 0 and 1 got

Rows of one level and one entity go together, so a movie with twenty actors takes three batches,
however many of the actors are new.  Rows that lead to others of their own entity take a level for
each step.

Invariants (held by tests/unit/database/test_saving.py and tests/property/test_writes_model.py):
  1. The foreign keys of a row are the values of the rows that its links lead to.
  2. The number of batches is that of levels and entities, not of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ormdb.errors import QueryError
from ormdb.ir.mutation import Effect, GraphRow, Upsert, WriteGraph
from ormdb.ir.value import RowDict, Value
from ormdb.storage.layout import EntityLayout, RelationLayout
from ormdb.storage.records import shown_value
from ormdb.txn.ground import Ground
from ormdb.txn.upsert import Create, all_of, upsert_rows


@dataclass(slots=True)
class _Written:
    """What is known of the rows that were written, by position."""

    identities: dict[int, tuple[Value, ...]] = field(default_factory=dict[int, "tuple[Value, ...]"])
    effects: dict[int, Effect] = field(default_factory=dict[int, Effect])
    # Fields that others refer to, where these are not the identity.
    values: dict[int, RowDict] = field(default_factory=dict[int, RowDict])


def write_graph(
    ground: Ground, graph: WriteGraph, create: Create
) -> tuple[list[tuple[Value, ...]], list[Effect]]:
    """Write the rows; the identity of each, and what became of it.

    Raises:
      QueryError: rows lead to each other in a circle, or over what is no relation.
      NotFoundError: a row to link is not there.
      ConstraintError: a constraint refuses one of the rows.
    """
    rows, done = graph.rows, _Written()
    wanted = _wanted(ground, rows)
    for level in _levels(rows):
        batches: dict[tuple[str, str], list[int]] = {}
        for at in level:
            batches.setdefault((rows[at].entity, rows[at].mode), []).append(at)
        for (name, mode), places in batches.items():
            entity = ground.entity(name)
            given = [_filled(ground, rows[at], done) for at in places]
            if mode == "link":
                identities = [_identity(entity, row) for row in given]
                effects = all_of("unchanged", len(places))
            elif mode == "save":
                upsert = Upsert(entity=name, rows=tuple(given))
                identities, effects = upsert_rows(ground, entity, upsert, create)
            else:
                identities = create(entity, given, {})
                effects = all_of("created", len(places))
            done.identities.update(zip(places, identities, strict=True))
            done.effects.update(zip(places, effects, strict=True))
            _read_back(ground, entity, places, wanted, done, is_link=mode == "link")
    return (
        [done.identities[at] for at in range(len(rows))],
        [done.effects[at] for at in range(len(rows))],
    )


def _wanted(ground: Ground, rows: Sequence[GraphRow]) -> dict[int, set[str]]:
    """Which fields of which rows become foreign keys, beside those of the identity."""
    wanted: dict[int, set[str]] = {}
    for row in rows:
        for name, to in row.links:
            relation = _relation(ground, row, name)
            if not 0 <= to < len(rows) or rows[to].entity != relation.target.name:
                raise QueryError(
                    f"{row.entity}.{name} leads to a {relation.target.name}; row {to} of the "
                    "graph is none",
                    entity=row.entity,
                    relation=name,
                )
            fields = set(relation.relation.target_fields)
            wanted.setdefault(to, set()).update(fields - set(relation.target.entity.identity))
    return wanted


def _levels(rows: Sequence[GraphRow]) -> list[list[int]]:
    """Positions, those that lead to nobody first; each before all that lead to it."""
    waits = [len(row.links) for row in rows]
    back: dict[int, list[int]] = {}
    for at, row in enumerate(rows):
        for _, to in row.links:
            back.setdefault(to, []).append(at)
    levels: list[list[int]] = []
    ready = [at for at, count in enumerate(waits) if not count]
    while ready:
        levels.append(ready)
        following: list[int] = []
        for at in ready:
            for source in back.get(at, ()):
                waits[source] -= 1
                if not waits[source]:
                    following.append(source)
        ready = sorted(following)
    circle = next((at for at, count in enumerate(waits) if count), None)
    if circle is not None:
        raise QueryError(
            f"row {circle} of the graph, a {rows[circle].entity}, leads back to itself; insert the "
            "rows of the circle without one of its links, then set that",
            entity=rows[circle].entity,
        )
    return levels


def _filled(ground: Ground, row: GraphRow, done: _Written) -> RowDict:
    """The values of a row, with foreign keys for its links."""
    values = dict(row.values)
    for name, to in row.links:
        relation = _relation(ground, row, name)
        identity = relation.target.entity.identity
        known = dict(zip(identity, done.identities[to], strict=True)) | done.values.get(to, {})
        pairs = zip(relation.relation.fields, relation.relation.target_fields, strict=True)
        values.update((own, known[theirs]) for own, theirs in pairs)
    return values


def _read_back(
    ground: Ground,
    entity: EntityLayout,
    places: Sequence[int],
    wanted: dict[int, set[str]],
    done: _Written,
    *,
    is_link: bool,
) -> None:
    """Note what others refer to and only the row tells; see that rows to link are there."""
    asked = [at for at in places if is_link or wanted.get(at)]
    if not asked:
        return
    keys, found = ground.find(entity, [done.identities[at] for at in asked])
    decoded = entity.codec.whole.decode_batch(keys, found)
    for at, row in zip(asked, decoded, strict=True):
        fields = [entity.fields[name] for name in wanted.get(at, ())]
        done.values[at] = {
            one.name: shown_value(one.type, getattr(row, f"s{one.slot}")) for one in fields
        }


def _relation(ground: Ground, row: GraphRow, name: str) -> RelationLayout:
    found = ground.layout.relations.get((row.entity, name))
    if found is None:
        raise QueryError(
            f"{row.entity} has no relation {name!r} to one row", entity=row.entity, relation=name
        )
    return found


def _identity(entity: EntityLayout, values: RowDict) -> tuple[Value, ...]:
    names = entity.entity.identity
    if set(values) != set(names):
        raise QueryError(
            f"a {entity.name} to link is named by {', '.join(names)} alone", entity=entity.name
        )
    return tuple(values[name] for name in names)
