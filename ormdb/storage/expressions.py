"""Expressions over stored rows, compiled to straight-line Python.

    dep_delay > 120 and origin.name == "Kennedy"

    def keep(rows, h0, p0, p1):
        return [(r.s5 is not None and r.s5 > p0) and (h0_ is not None and h0_.s1 == p1)
                for r, h0_ in zip(rows, h0)]

A filter asks only "is it true?", a check only "is it false?".  Each question has its own
translation and `not` swaps them, so three-valued logic costs no third value at run time.  Where a
condition is a value (of a computed field, say) both are asked, unless that would ask for another
such value twice: nested ones are left to `ir.evaluate`, which is the definition of them all and
also gives the meaning of arithmetic and functions.

No text of the user is ever part of the source: names and constants come in as bindings.

Invariants (held by tests/property/test_expressions.py):
  1. "true" and "false" agree with `ir.evaluate` for every expression and row.
  2. Two expressions of the same shape give the same source.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol, assert_never

from ormdb import limits
from ormdb.clock import Clock
from ormdb.ir.aggregates import refuse_aggregate
from ormdb.ir.documents import compare_json, is_json_in
from ormdb.ir.evaluate import calculate, call_function, evaluate, fit_result
from ormdb.ir.expr import (
    Aggregate,
    And,
    Arithmetic,
    Call,
    Compare,
    Expr,
    FieldRef,
    InList,
    IsNull,
    Literal,
    NamedParam,
    Not,
    Or,
    Param,
    Related,
)
from ormdb.ir.expression_type import Resolved, paths_in, walk
from ormdb.ir.function_type import TESTS, TEXT_TESTS, is_extract
from ormdb.ir.rewrite import map_children
from ormdb.ir.schema import FieldDef
from ormdb.ir.value import BoolType, EnumType, ListType, Type, Value
from ormdb.storage.asking import BINDINGS, SOURCES, Question
from ormdb.storage.codegen import compile_function
from ormdb.storage.records import is_shown_as_stored, is_stored, shown_value, stored_value

_OPPOSITE: Final = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


class FieldOwner(Protocol):
    """An entity, as far as expressions know it: its name, and its fields by name."""

    @property
    def name(self) -> str: ...

    @property
    def fields(self) -> Mapping[str, FieldDef]: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path's value is found in generated code: a variable (row or hop) and its field."""

    variable: str
    field: FieldDef
    entity: FieldOwner
    maybe_missing: bool = False  # a hop that led to no row


class Places(Protocol):
    """Finds the place of a path; the compiler's only knowledge of the schema."""

    def __call__(self, path: tuple[str, ...]) -> Place: ...

    def related(self, expr: Related) -> str:
        """The variable that holds what is asked about related rows: True or False."""
        ...

    def folded(self, expr: Aggregate) -> str:
        """The variable that holds what is folded from related rows, canonical or None."""
        ...


class OwnFields:
    """The places of one entity's own fields, read from the variable r."""

    def __init__(self, entity: FieldOwner) -> None:
        self._entity = entity

    def __call__(self, path: tuple[str, ...]) -> Place:
        assert len(path) == 1, f"{path} leaves the entity"
        return Place("r", self._entity.fields[path[0]], self._entity)

    def related(self, expr: Related) -> str:
        raise AssertionError(f"{expr.path} leads to other rows")

    def folded(self, expr: Aggregate) -> str:
        raise AssertionError(f"{expr.path} leads to other rows")


@dataclass(slots=True)
class Translator:
    """Translates expressions to source text, gathering the bindings the text refers to."""

    places: Places
    clock: Clock | None
    bindings: dict[str, Any] = field(default_factory=dict[str, Any])
    # Per parameter: the field it is compared with, whose stored form its value must take, or the
    # function that it is given to; None where it is calculated with, in its canonical form.
    params: dict[int, FieldDef | Question | None] = field(
        default_factory=dict[int, FieldDef | Question | None]
    )

    def true(self, expr: Expr) -> str:
        """Source that is truthy exactly when the expression is true."""
        match expr:
            case Compare(left=left, right=right) if is_extract(left) or is_extract(right):
                return f"({self._compared_json(expr)} is True)"
            case Compare(op=op, left=left, right=right):
                return self._compare(op, left, right)
            case InList(operand=operand) if is_extract(operand):
                return f"({self._json_in(expr)} is True)"
            case InList(operand=operand, items=items):
                return f"({self.value(operand)[0]} in {self._items(operand, items)})"
            case IsNull(operand=operand):
                code, nullable = self.value(operand)
                return f"({code} is None)" if nullable else "False"
            case And(items=items):
                return self._joined("and", [self.true(item) for item in items], "True")
            case Or(items=items):
                return self._joined("or", [self.true(item) for item in items], "False")
            case Not(operand=operand):
                return self.false(operand)
            case Call(arguments=(*_, Literal() | Param())) if expr.name in TESTS:
                return self._asked(expr, "")
            case Literal() | Param() | NamedParam() | FieldRef() | Arithmetic() | Call():
                return f"({self.value(expr)[0]} is True)"
            case Related():
                return self.places.related(expr)
            case Aggregate():
                return f"({self.value(expr)[0]} is True)"
        assert_never(expr)

    def false(self, expr: Expr) -> str:
        """Source that is truthy exactly when the expression is false."""
        match expr:
            case Compare(left=left, right=right) if is_extract(left) or is_extract(right):
                return f"({self._compared_json(expr)} is False)"
            case Compare(op=op, left=left, right=right):
                return self._compare(_OPPOSITE[op], left, right)
            case InList(operand=operand) if is_extract(operand):
                return f"({self._json_in(expr)} is False)"
            case InList(items=Literal(value=items)) if None in items:
                return "False"  # it could be the NULL item
            case InList(operand=operand, items=items):
                code, nullable = self.value(operand)
                among = self._items(operand, items)
                if not nullable:
                    return f"({code} not in {among})"
                kept = self.bind("v", None)
                # Nothing, not even NULL, is in an empty list.
                return (
                    f"((({kept} := {code}) is not None or not {among}) and {kept} not in {among})"
                )
            case IsNull(operand=operand):
                code, nullable = self.value(operand)
                return f"({code} is not None)" if nullable else "True"
            case And(items=items):
                return self._joined("or", [self.false(item) for item in items], "False")
            case Or(items=items):
                return self._joined("and", [self.false(item) for item in items], "True")
            case Not(operand=operand):
                return self.true(operand)
            case Call(arguments=(*_, Literal() | Param())) if expr.name in TESTS:
                return self._asked(expr, "not ")
            case Literal() | Param() | NamedParam() | FieldRef() | Arithmetic() | Call():
                return f"({self.value(expr)[0]} is False)"
            case Related():
                return f"(not {self.places.related(expr)})"
            case Aggregate():
                return f"({self.value(expr)[0]} is False)"
        assert_never(expr)

    def value(self, expr: Expr) -> tuple[str, bool]:
        """Source of the expression's stored value, and whether it may be None."""
        match expr:
            case FieldRef(path=path):
                return self.place_value(self.places(path))
            case Param(index=index):
                self.params.setdefault(index, None)
                return f"p{index}", False
            case Literal(value=value):
                return self.bind("c", value), value is None
            case NamedParam():
                raise AssertionError("a query is bound before it is compiled")
            case Arithmetic() | Call():
                return self._calculated(expr), True
            case Related():
                return self.places.related(expr), False
            case Aggregate(path=()):
                refuse_aggregate(expr)
            case Aggregate():
                return self.places.folded(expr), expr.function != "count"
            case _:
                return self._truth(expr), True

    def canonical(self, expr: Expr) -> str:
        """Source of the expression's canonical value."""
        if isinstance(expr, FieldRef):
            return self.shown(self.places(expr.path))[0]
        return self.value(expr)[0]

    def place_value(self, place: Place) -> tuple[str, bool]:
        """Source of a field's stored value, and whether it may be None."""
        if not is_stored(place.field):
            return self._virtual(place), True
        code = f"{place.variable}.s{place.field.slot}"
        if place.maybe_missing:
            return f"({code} if {place.variable} is not None else None)", True
        return code, place.field.optional

    def shown(self, place: Place) -> tuple[str, bool]:
        """Source of a field's canonical value, and whether it may be None."""
        code, nullable = self.place_value(place)
        kind = place.field.type
        if is_shown_as_stored(kind):
            return code, nullable
        if isinstance(kind, EnumType):
            names: dict[int | None, str | None] = {None: None, **dict(enumerate(kind.variants))}
            return f"{self.bind('e', names)}[{code}]", nullable

        def show_one(value: Value) -> Value:
            return shown_value(kind, value)

        show = self.bind("show", show_one)
        return f"{show}({code})", nullable

    def _compare(self, op: str, left: Expr, right: Expr) -> str:
        a, a_nullable = self._operand(left, right)
        b, b_nullable = self._operand(right, left)
        if "None" in (a, b):
            return "False"
        guard_a, a = self._guarded(a, nullable=a_nullable)
        guard_b, b = self._guarded(b, nullable=b_nullable)
        return f"({guard_a}{guard_b}{a} {op} {b})"

    def _compared_json(self, expr: Compare) -> str:
        """Source of a comparison with what at() finds: true, false or NULL."""
        run = self.bind("json", partial(compare_json, expr.op))
        return f"{run}({self.canonical(expr.left)}, {self.canonical(expr.right)})"

    def _json_in(self, expr: InList) -> str:
        assert isinstance(expr.items, Literal), "only a list beside a field is a parameter"
        run = self.bind("json", partial(is_json_in, expr.items.value))
        return f"{run}({self.canonical(expr.operand)})"

    def _asked(self, expr: Call, negation: str) -> str:
        """Source of a function that asks with a literal or a parameter."""
        *subjects, given = expr.arguments
        subject = subjects[0]
        field_asked = isinstance(subject, FieldRef)
        item = self._item_kind(subject)
        question = Question(expr.name, item)
        if isinstance(given, Param):
            self.params[given.index] = question
            asked_with = f"p{given.index}"
        elif isinstance(given, Literal) and given.value is not None:
            if expr.name == "has" and item is None:  # of no slot: the item is as it was written
                asked_with = self.bind("c", given.value)
            else:
                asked_with = self.bind("c", question.prepared(given.value))
        else:
            return "False"
        if len(subjects) > 1:
            texts = ", ".join(map(self.canonical, subjects))
            return f"({asked_with}.matches(({texts})) is {'False' if negation else 'True'})"
        code, nullable = self.value(subject) if field_asked else (self.canonical(subject), True)
        guard, code = self._guarded(code, nullable=nullable)
        if not field_asked and expr.name in TEXT_TESTS:
            guard += f"isinstance({code}, str) and "  # at() may have found anything
        self.bindings.update(BINDINGS)
        return f"({guard}{negation}{SOURCES[expr.name].format(v=code, g=asked_with)})"

    def _item_kind(self, expr: Expr) -> Type | None:
        """The type of the items of a field that is a list."""
        kind = self.places(expr.path).field.type if isinstance(expr, FieldRef) else None
        return kind.item if isinstance(kind, ListType) else None

    def _guarded(self, code: str, *, nullable: bool) -> tuple[str, str]:
        """Source that goes on if a value is not NULL, and source of the value after it."""
        if not nullable:
            return "", code
        if "(" not in code:
            return f"{code} is not None and ", code
        kept = self.bind("v", None)  # whatever it takes is done once
        return f"({kept} := {code}) is not None and ", kept

    def _operand(self, expr: Expr, other: Expr) -> tuple[str, bool]:
        if isinstance(expr, Literal):
            if expr.value is None:
                return "None", True
            kind = self._stored_kind(other)
            value = expr.value if kind is None else stored_value(kind, expr.value)
            return self.bind("c", value), False
        if isinstance(expr, Param) and isinstance(other, FieldRef):
            self.params[expr.index] = self.places(other.path).field
        if isinstance(expr, FieldRef) and not isinstance(other, Literal | Param | FieldRef):
            return self.shown(self.places(expr.path))  # the other side is evaluated, not stored
        return self.value(expr)

    def _items(self, operand: Expr, items: Literal | Param | NamedParam) -> str:
        assert not isinstance(items, NamedParam), "a query is bound before it is compiled"
        if isinstance(items, Param):
            assert isinstance(operand, FieldRef), "a parameter stands beside a field only"
            self.params[items.index] = self.places(operand.path).field
            return f"p{items.index}"
        kind = self._stored_kind(operand)
        present = [item for item in items.value if item is not None]
        stored = present if kind is None else [stored_value(kind, item) for item in present]
        return self.bind("c", frozenset(stored))

    def _stored_kind(self, expr: Expr) -> Any:
        """The type whose stored form this operand has in generated code, if it is a field."""
        if isinstance(expr, FieldRef):
            return self.places(expr.path).field.type
        return None

    def _virtual(self, place: Place) -> str:
        """A virtual computed field: its expression over the fields of the same row, in the
        form a slot would hold, so that it compares and sorts as a stored field does."""
        computed = place.field.computed
        assert computed is not None
        own, definition = _Within(place), place.field
        inner = Translator(own, self.clock, self.bindings, self.params)
        where = f"{place.entity.name}.{definition.name}"
        kind = definition.type

        def fit_one(value: Value) -> Value:
            return stored_value(kind, fit_result(kind, value, where))

        code = inner.canonical(computed.expression)
        if not isinstance(kind, BoolType):  # a condition is true, false or NULL as it is
            code = f"{self.bind('fit', fit_one)}({code})"
        if place.maybe_missing:
            return f"({code} if {place.variable} is not None else None)"
        return code

    def _calculated(self, expr: Arithmetic | Call) -> str:
        match expr:
            case Arithmetic(op=op, left=left, right=right):
                run = self.bind("calc", _CALCULATIONS[op])
                return f"{run}({self.canonical(left)}, {self.canonical(right)})"
            case Call(name="now" | "uuid7"):
                return self.evaluated(expr)
            case Call(name="coalesce", arguments=arguments):
                code = "None"
                for argument in reversed(arguments):
                    kept = self.bind("v", None)
                    tried = f"({kept} := {self.canonical(argument)})"
                    code = f"({kept} if {tried} is not None else {code})"
                return code
            case Call(name="rank", arguments=(*texts, Param(index=index))):
                self.params[index] = Question("rank")
                asked = "".join(f"{self.canonical(text)}, " for text in texts)
                return f"p{index}.rank(({asked}))"
            case Call(name=name, arguments=arguments):
                run = self.bind("call", partial(call_function, name))
                return f"{run}({', '.join(map(self.canonical, arguments))})"

    def _truth(self, expr: Expr) -> str:
        """A condition as a value."""
        if not self._is_plain(expr):
            return self.evaluated(expr)
        return f"(True if {self.true(expr)} else False if {self.false(expr)} else None)"

    def _is_plain(self, expr: Expr) -> bool:
        """Whether asking a condition twice asks for nothing twice that is itself asked twice."""
        match expr:
            case And(items=items) | Or(items=items):
                return all(map(self._is_plain, items))
            case Not(operand=operand):
                return self._is_plain(operand)
            case Compare(left=left, right=right):
                parts: tuple[Expr, ...] = (left, right)
            case InList(operand=operand) | IsNull(operand=operand):
                parts = (operand,)
            case _:
                parts = (expr,)
        return all(self._is_simple(node) for part in parts for node in walk(part))

    def _is_simple(self, node: Expr) -> bool:
        if isinstance(node, FieldRef):
            return is_stored(self.places(node.path).field)
        return isinstance(node, Literal | Param | Arithmetic | Call | Related | Aggregate)

    def evaluated(self, expr: Expr) -> str:
        """A call of the reference evaluation with the values of the paths it uses, and with its
        parameters and what is known about related rows as parameters."""
        paths = sorted(paths_in(expr))
        types = {path: _resolved(path, self.places(path)) for path in paths}
        asked = [node for node in walk(expr) if isinstance(node, Related | Aggregate | Param)]
        known = {id(node): Param(index=index) for index, node in enumerate(asked)}

        def with_known(node: Expr) -> Expr:
            if (found := known.get(id(node))) is not None:
                return found
            if isinstance(node, InList) and isinstance(node.items, Param):
                return InList(operand=with_known(node.operand), items=known[id(node.items)])
            return map_children(node, with_known)

        run = self.bind("f", _Evaluation(with_known(expr) if asked else expr, types, self.clock))
        values = [self.shown(self.places(path))[0] for path in paths]
        values += [self.value(node)[0] for node in asked]
        return f"{run}({', '.join(values)})"

    def bind(self, prefix: str, value: Any) -> str:
        name = f"{prefix}{len(self.bindings)}_"
        self.bindings[name] = value
        return name

    @staticmethod
    def _joined(word: str, parts: Sequence[str], empty: str) -> str:
        if not parts:
            return empty
        return parts[0] if len(parts) == 1 else "(" + f" {word} ".join(parts) + ")"


class RowExpression:
    """A value computed from one row's own fields."""

    def __init__(self, expr: Expr, entity: FieldOwner, clock: Clock) -> None:
        translator = Translator(OwnFields(entity), clock)
        code = translator.canonical(expr)
        self._run: Callable[[Any], Value] = compile_function(
            f"def value(r):\n    return {code}\n", "value", translator.bindings
        )

    def value(self, row: Any) -> Value:
        """The canonical value for a decoded row."""
        return self._run(row)


def compile_violations(
    expr: Expr, entity: FieldOwner, clock: Clock
) -> Callable[[Sequence[Any]], list[int]]:
    """A function from decoded rows to the positions of those for which `expr` is false."""
    translator = Translator(OwnFields(entity), clock)
    code = translator.false(expr)
    source = f"def violations(rows):\n    return [i for i, r in enumerate(rows) if {code}]\n"
    return compile_function(source, "violations", translator.bindings)


def compile_condition(expr: Expr, entity: FieldOwner) -> Callable[[Sequence[Any]], list[bool]]:
    """A function that says for which of some decoded rows a condition is true.

    The condition must not ask for the time.
    """
    translator = Translator(OwnFields(entity), None)
    code = translator.true(expr)
    source = f"def holds(rows):\n    return [True if {code} else False for r in rows]\n"
    return compile_function(source, "holds", translator.bindings)


class _Within:
    """Places of the fields beside a virtual field, in the same variable."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def __call__(self, path: tuple[str, ...]) -> Place:
        entity = self._place.entity
        return Place(self._place.variable, entity.fields[path[0]], entity)

    def related(self, expr: Related) -> str:
        raise AssertionError(f"{expr.path} leads to other rows")

    def folded(self, expr: Aggregate) -> str:
        raise AssertionError(f"{expr.path} leads to other rows")


class _Evaluation:
    """`ir.evaluate` of one expression, called with the values of its paths in order."""

    def __init__(
        self, expr: Expr, types: Mapping[tuple[str, ...], Resolved], clock: Clock | None
    ) -> None:
        self._expr = expr
        self._types = types
        self._clock = clock

    def __call__(self, *values: Value) -> Value:
        found = dict(zip(self._types, values, strict=False))
        return evaluate(
            self._expr,
            found.__getitem__,
            parameters=values[len(found) :],
            clock=self._clock,
            resolve=self._types.__getitem__,
        )


def _resolved(path: tuple[str, ...], place: Place) -> Resolved:
    optional = place.field.optional or place.maybe_missing
    return Resolved(name=".".join(path), type=place.field.type, optional=optional)


def paths_of(expr: Expr, fields: Mapping[str, FieldDef]) -> set[tuple[str, ...]]:
    """Every stored field path an expression reads, virtual own fields seen through."""
    found: set[tuple[str, ...]] = set()
    for path in paths_in(expr):
        definition = fields.get(path[0])
        if len(path) == 1 and definition is not None and not is_stored(definition):
            assert definition.computed is not None
            found |= paths_of(definition.computed.expression, fields)
        else:
            found.add(path)
    return found


def _calculation(op: str, plain: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Value]:
    """`ir.evaluate.calculate` of one operation, quick where both are ints and the result is."""

    def run(left: Value, right: Value) -> Value:
        if type(left) is int and type(right) is int:
            result = plain(left, right)
            if limits.INT_MIN <= result <= limits.INT_MAX:
                return result
        return calculate(op, left, right)

    return run


# `/` of ints is no int, and `%` by zero is NULL: these go the long way.
_CALCULATIONS: Final[dict[str, Callable[[Value, Value], Value]]] = {
    "+": _calculation("+", operator.add),
    "-": _calculation("-", operator.sub),
    "*": _calculation("*", operator.mul),
    "/": partial(calculate, "/"),
    "%": partial(calculate, "%"),
}
