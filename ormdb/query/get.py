"""One row by its identity: the shortest way in, without a plan.

    get(Post, 41)   row key from the identity ─▶ row ─▶ sealed? ─▶ one dict

What it needs of an entity (the conversion of identities, the decoder, the generated dict display)
is made once per layout.

Invariants (held by tests/unit/query/test_get.py):
  1. The dict is the one that a fetch filtered by the identity gives.
  2. A row of another identity than was asked for raises CorruptionError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from ormdb.clock import Clock
from ormdb.errors import QueryError
from ormdb.ir.coerce import coerce_value
from ormdb.ir.value import RowDict, Value
from ormdb.query.compile import compile_row_dicts
from ormdb.query.convert import has_key
from ormdb.query.decoded import decoded_row
from ormdb.query.resolve import find_entity
from ormdb.query.roots import dangling, recheck_entries
from ormdb.storage.keys import row_key
from ormdb.storage.layout import ROW_KEY_BYTES, EntityLayout, Layout
from ormdb.storage.records import RowDecoder, stored_value
from ormdb.storage.views import View


class Getter:
    """Gets rows of one entity."""

    def __init__(self, layout: Layout, name: str, clock: Clock) -> None:
        entity = find_entity(layout, name)
        self.entity: EntityLayout = entity
        self._fields = [entity.fields[part] for part in entity.entity.identity]
        slots, dicts = compile_row_dicts(layout, entity, clock)
        self._decoder: RowDecoder = entity.codec.decoder(slots)
        self._dicts: Callable[[list[Any]], list[RowDict]] = dicts

    def get(self, view: View, identity: tuple[Value, ...]) -> RowDict | None:
        """The row with this identity, or None.

        Raises:
          QueryError: the identity has other parts than the entity's.
        """
        row = self._row(view, identity)
        return None if row is None else self._dicts([row])[0]

    def version(self, view: View, identity: tuple[Value, ...]) -> int | None:
        """The commit that the row with this identity is of, or None without such a row."""
        row = self._row(view, identity)
        return None if row is None else int(row.b)

    def _row(self, view: View, identity: tuple[Value, ...]) -> Any:
        encoded = self._encoded(identity)
        if encoded is None:
            return None
        entity, index = self.entity, self.entity.identity
        if index is None:
            return decoded_row(view, entity, encoded, self._decoder)
        key = view.lookup(index, entity, (encoded,))[0][:ROW_KEY_BYTES]
        if not key:
            return None
        row = decoded_row(view, entity, key, self._decoder)
        if row is None:
            raise dangling(entity, index)
        recheck_entries(entity, index, [row], (encoded,))
        return row

    def _encoded(self, identity: tuple[Value, ...]) -> bytes | None:
        """The key of an identity in its index, or in the rows; None for what nothing can have."""
        entity, fields = self.entity, self._fields
        if len(identity) != len(fields):
            raise QueryError(
                f"the identity of {entity.name} is ({', '.join(entity.entity.identity)}), "
                f"not {len(identity)} value(s)",
                entity=entity.name,
            )
        if entity.identity is None:
            number = identity[0]
            if type(number) is int and -_WORD <= number < _WORD:
                return row_key(number)
        values: list[Value] = []
        for field, given in zip(fields, identity, strict=True):
            value = None if given is None else coerce_value(field.type, given, field.name)
            if value is None or not has_key(field.type, value):
                return None
            values.append(stored_value(field.type, value))
        if entity.identity is None:
            return row_key(values[0])
        return entity.identity.encode_values(values)


class Getters:
    """The getters of every layout in use, by entity name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made: WeakKeyDictionary[Layout, dict[str, Getter]] = WeakKeyDictionary()

    def getter(self, layout: Layout, name: str) -> Getter:
        """The getter of an entity, made on first use."""
        made = self._made.get(layout)
        if made is None:
            made = self._made.setdefault(layout, {})
        found = made.get(name)
        if found is None:
            found = made.setdefault(name, Getter(layout, name, self._clock))
        return found


_WORD: Final = 1 << 63
