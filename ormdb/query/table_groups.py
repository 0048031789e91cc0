"""What is asked of groups: expressions over their keys and aggregates, compiled to functions.

    having a0 / a1 > p0

    def mask(rows, c0, c1, p0):
        return [... for g1_, g2_ in zip(c0, c1)]       g1 is place 1: a0, behind the only key

The places of a group hold stored values, as the slots of a row do.

Invariants (held by tests/property/test_tables.py):
  1. What is computed of a group is what `ir.evaluate` says of its keys and aggregates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from ormdb.clock import Clock
from ormdb.ir.expr import Aggregate, Expr, FieldRef, Related
from ormdb.ir.expression_type import Resolved
from ormdb.ir.schema import FieldDef
from ormdb.ir.value import EnumType, Type
from ormdb.query.node_scope import Parameters
from ormdb.query.table_plan import ColumnPlan
from ormdb.storage.codegen import compile_function
from ormdb.storage.expressions import Place, Translator
from ormdb.storage.layout import EntityLayout


class GroupPlaces:
    """The places of a group: keys, then aggregates."""

    def __init__(
        self, entity: EntityLayout, places: Sequence[tuple[str, str, Type, bool]], clock: Clock
    ) -> None:
        """`places` are their names in the parts, their words, their types, and if NULL."""
        self._entity = entity
        self._clock = clock
        self._words = {name: words for name, words, _, _ in places}
        self._fields = {
            name: FieldDef(name=name, type=kind, optional=optional, slot=number)
            for number, (name, _, kind, optional) in enumerate(places)
        }

    def resolve(self, path: tuple[str, ...]) -> Resolved:
        """What a place holds."""
        field = self._fields[path[0]]
        return Resolved(name=self._words[field.name], type=field.type, optional=field.optional)

    def shown(self, bare: Expr, params: Parameters) -> ColumnPlan:
        """The canonical values of an expression; notes what its parameters stand for."""
        translator = GroupTranslator(self, self._clock)
        code = translator.canonical(bare)
        params.update(translator.params)
        return self._column(translator, code)

    def stored(self, bare: Expr, kind: Type, params: Parameters) -> tuple[ColumnPlan, bool]:
        """The values of an expression in the form in which they are sorted, and whether any may
        be NULL; notes what its parameters stand for."""
        translator = GroupTranslator(self, self._clock)
        code, nullable = stored_code(translator, bare, kind)
        params.update(translator.params)
        return self._column(translator, code), nullable

    def truth(self, bare: Expr, params: Parameters) -> ColumnPlan:
        """For which groups a condition is true; notes what its parameters stand beside."""
        translator = GroupTranslator(self, self._clock)
        code = translator.true(bare)
        params.update(translator.params)
        return self._column(translator, code)

    # --- as `storage.expressions.Places` ---

    def __call__(self, path: tuple[str, ...]) -> Place:
        field = self._fields[path[0]]
        return Place(f"g{field.slot}_", field, self._entity)

    def related(self, expr: Related) -> NoReturn:
        raise AssertionError("a group has no relations; a question about them is a key of it")

    def folded(self, expr: Aggregate) -> NoReturn:
        raise AssertionError("a group has no relations; a fold over them is a key of it")

    def _column(self, translator: GroupTranslator, code: str) -> ColumnPlan:
        places = tuple(sorted(translator.used))
        parameters = tuple(sorted(translator.params))
        lists = [f"c{number}" for number in range(len(places))]
        given = ", ".join(["rows", *lists, *(f"p{index}" for index in parameters)])
        loop = ", ".join([f"g{place}_" for place in places])
        if len(places) == 1:
            loop = f"{loop} in c0"
        elif places:
            loop = f"{loop} in zip({', '.join(lists)})"
        else:
            loop = "_ in rows"
        text = f"def column({given}):\n    return [{code} for {loop}]\n"
        return ColumnPlan(compile_function(text, "column", translator.bindings), places, parameters)


def stored_code(translator: Translator, bare: Expr, kind: Type) -> tuple[str, bool]:
    """Source of a value in the form that a slot of its type has, and whether it may be None."""
    code, nullable = translator.value(bare)
    if isinstance(kind, EnumType) and not isinstance(bare, FieldRef):
        places = {name: place for place, name in enumerate(kind.variants)}
        return f"{translator.bind('e', {None: None, **places})}[{code}]", nullable
    return code, nullable


class GroupTranslator(Translator):
    """Reads the places of a group from variables of their own."""

    def __init__(self, places: GroupPlaces, clock: Clock) -> None:
        super().__init__(places, clock)
        self.used = set[int]()

    def place_value(self, place: Place) -> tuple[str, bool]:
        self.used.add(place.field.slot)
        return place.variable, place.field.optional
