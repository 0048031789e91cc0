"""Names for what an import makes: entities, fields, relations, and their ways back.

    orders.customer_id -> customers      relation orders.customer       inverse customers.orders
    flights.origin -> airports           relation flights.airports      (the field has "origin")
    flights.origin, .dest -> airports    relations origin_airports, dest_airports
                                         inverses flights_origin_airports, …

Fields keep the names of their columns whatever happens; relations take what is free.  A relation
takes its column's name without a final "id", else its target's name if that is unambiguous, else
both; an inverse takes its source's name if that is unambiguous, else that of the relation too.

Invariants (held by tests/unit/exchange/test_naming.py):
  1. No two members of an entity get one name.
  2. A name that the schema cannot hold is changed, and the change is noted.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from ormdb import limits
from ormdb.ir.schema import EntityDef, RelationDef, ThroughDef
from ormdb.ir.show import show_value

# Not part of any name: they would break the line on which the name stands.
_UNFIT: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
# "order_id", "orderId", "OrderID", "order_fk": what is left is the name of a relation.
_ID_SUFFIX: Final = re.compile(r"(?:_[Ii][Dd]|(?<=[a-z0-9])(?:Id|ID)|_fk|_key)$")


class Names:
    """Gives each thing a name that the schema can hold and that nothing else has."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes
        self._taken: set[str] = set()

    def fit(self, name: str, what: str) -> str:
        """The name itself if it will do, else one made from it, with a note about `what`."""
        fitting = "".join("_" if unicodedata.category(char) in _UNFIT else char for char in name)
        found = self.free(fitting or "unnamed")
        if found != name:
            self._notes.append(f"{what} {show_value(name)[5:]} is named {found!r}")
        return found

    def free(self, *candidates: str) -> str:
        """The first candidate that is free, or the last one with a number; it is taken then."""
        fitting = [name[: limits.NAME_CHARS_MAX] for name in candidates]
        found = next((name for name in fitting if name not in self._taken), None)
        number = 2
        while found is None:
            numbered = f"{candidates[-1][: limits.NAME_CHARS_MAX - 8]}_{number}"
            found = numbered if numbered not in self._taken else None
            number += 1
        self._taken.add(found)
        return found


def relation_names(fields: Sequence[str], target: str, *, is_lone: bool) -> list[str]:
    """What a relation over `fields` may be called, best first; `is_lone` says that it is the only
    one from its source to its target."""
    plain = [_ID_SUFFIX.sub("", name).strip("_") for name in fields]
    short = [plain[0]] if len(plain) == 1 and plain[0] else []
    # A field that is named like its target leaves no other name: tag -> tag is tag_row.
    own = [one for one in plain if one and one.lower() != target.lower()]
    joined = "_".join([*own, target]) if own else f"{target}_row"
    return [*short, *([target] if is_lone else []), joined]


def inverse_names(source: str, relation: str, *, is_lone: bool) -> list[str]:
    """What the way back of a relation may be called, best first."""
    return [*([source] if is_lone else []), f"{source}_{relation}"]


def make_throughs(
    entities: Sequence[EntityDef], relations: Sequence[RelationDef], names: Mapping[str, Names]
) -> list[ThroughDef]:
    """Many-to-many relations, both ways, over every entity whose key is made of two relations."""
    found: list[ThroughDef] = []
    for edge in entities:
        pair = _ends_of(edge, [one for one in relations if one.source == edge.name])
        if pair is None:
            continue
        for near, far in (pair, pair[::-1]):
            lone = [far.target] if near.target != far.target else []
            found.append(
                ThroughDef(
                    name=names[near.target].free(*lone, f"{far.name}_over_{edge.name}"),
                    entity=near.target,
                    edge=edge.name,
                    near=near.name,
                    far=far.name,
                    target=far.target,
                )
            )
    return found


def unique_fields(entity: EntityDef) -> Iterator[tuple[str, ...]]:
    """Every list of fields whose values tell rows apart, the identity first."""
    yield entity.identity
    for index in entity.indexes:
        if index.unique and index.condition is None:
            yield tuple(part.field for part in index.fields)


def _ends_of(
    edge: EntityDef, relations: Iterable[RelationDef]
) -> tuple[RelationDef, RelationDef] | None:
    """The two relations that make up a key of a link table, if there is no doubt about them."""
    keys = [set(fields) for fields in unique_fields(edge)]
    pairs = [
        (near, far)
        for near, far in itertools.combinations(relations, 2)
        if set(near.fields) | set(far.fields) in keys
        and not set(near.fields) <= set(far.fields)
        and not set(far.fields) <= set(near.fields)
    ]
    return pairs[0] if len(pairs) == 1 else None
