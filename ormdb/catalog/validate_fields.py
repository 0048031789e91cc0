"""The rules about single fields: their types, their defaults, what they are computed from.

    total: decimal(10, 2)? computed price * qty        price and qty have to be of this entity
    seen: timestamp = now()                            now is for timestamps and dates only
    code: enum("a", "a")                               refused: a variant twice

A computed field may use other computed fields, but never in a circle, and a stored one only those
stored ones that are declared before it: rows are computed from the first field to the last.

Invariants (held by tests/unit/catalog/test_validate.py):
  1. An expression that passes here can be evaluated for every row of its entity.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

from ormdb import limits
from ormdb.catalog.declared import field_literal, own_fields
from ormdb.errors import LimitError, QueryError, ValueRangeError, ValueTypeError
from ormdb.ir.evaluate import coerce_literals, expression_type
from ormdb.ir.expr import Call, Expr
from ormdb.ir.expression_type import paths_in, walk
from ormdb.ir.schema import (
    EntityDef,
    ExpressionDefault,
    FieldDef,
    LiteralDefault,
    NowDefault,
    SequenceDefault,
    Uuid7Default,
)
from ormdb.ir.value import (
    BoolType,
    DateType,
    DecimalType,
    EnumType,
    IntType,
    ListType,
    StructType,
    TextType,
    TimestampType,
    Type,
    UuidType,
)


def check_fields(entity: EntityDef) -> Iterable[str]:
    """What is wrong with the fields and the checks of an entity."""
    fields = {field.name: field for field in entity.fields}
    for field in entity.fields:
        where = f"{entity.name}.{field.name}"
        yield from _type(where, field.type)
        yield from _default(where, entity, field)
        yield from _fill(where, field)
    sequences = [f.name for f in entity.fields if isinstance(f.default, SequenceDefault)]
    if len(sequences) > 1:
        yield (
            f"{entity.name} has one sequence, but {', '.join(sequences)} all take numbers from "
            "it; keep one of them"
        )
    yield from _all_computed(entity, fields)
    for check in entity.checks:
        where = f"check {check.name!r} of {entity.name}"
        yield from _expression(where, check.expression, entity, BoolType())


def _type(where: str, kind: Type) -> Iterable[str]:
    match kind:
        case DecimalType(precision=precision, scale=scale):
            if not 1 <= precision <= limits.DECIMAL_DIGITS_MAX or not 0 <= scale <= precision:
                yield (
                    f"{where}: decimal({precision}, {scale}) is no type; the precision is 1 to "
                    f"{limits.DECIMAL_DIGITS_MAX}, the scale 0 to the precision"
                )
        case TextType(max_chars=int(chars)):
            if not 1 <= chars <= limits.TEXT_BYTES_MAX:
                yield f"{where}: text({chars}) is no type; give 1 to {limits.TEXT_BYTES_MAX}"
        case EnumType(variants=variants):
            yield from _variants(where, variants)
        case ListType(item=item):
            yield from _type(f"{where} items", item)
        case StructType(fields=parts):
            if not parts:
                yield f"{where}: a struct needs at least one field"
            for name, count in Counter(part.name for part in parts).items():
                if count > 1:
                    yield f"{where}: the struct names {name!r} {count} times; rename one"
                if not name or len(name) > limits.NAME_CHARS_MAX or _has_controls(name):
                    yield (
                        f"{where}: {name[:20]!r} is no name for a field of a struct; use 1 to "
                        f"{limits.NAME_CHARS_MAX} characters without controls"
                    )
            for part in parts:
                yield from _type(f"{where}.{part.name}", part.type)
        case _:
            pass


def _variants(where: str, variants: tuple[str, ...]) -> Iterable[str]:
    if not variants:
        yield f"{where}: an enum needs at least one variant"
    for variant, count in Counter(variants).items():
        if count > 1:
            yield f"{where}: the enum names {variant!r} {count} times; once is enough"
        if not variant:
            yield f"{where}: an enum has an empty variant; give it a text"
        if len(variant) > limits.NAME_CHARS_MAX or _has_controls(variant):
            yield (
                f"{where}: {variant[:20]!r} is no variant of an enum; use at most "
                f"{limits.NAME_CHARS_MAX} characters without controls"
            )


def _has_controls(text: str) -> bool:
    return any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in text)


def _default(where: str, entity: EntityDef, field: FieldDef) -> Iterable[str]:
    if field.default is not None and field.computed is not None:
        yield f"{where} is computed and cannot have a default; leave one of them out"
    match field.default:
        case LiteralDefault(value=value):
            if value is None:
                yield f"{where} has NULL as its default, which says nothing; leave it out"
            yield from _literal(where, "default", field, value)
        case NowDefault():
            if not isinstance(field.type, TimestampType | DateType):
                yield f"{where}: the default now is for timestamps and dates; use another default"
        case Uuid7Default():
            if not isinstance(field.type, UuidType):
                yield f"{where}: the default uuid7 is for uuids; declare the field as one"
        case SequenceDefault():
            if not isinstance(field.type, IntType):
                yield f"{where}: the default sequence is for ints; declare the field as one"
        case ExpressionDefault(expression=expression):
            yield from _expression(f"the default of {where}", expression, entity, field.type)
            yield from _late_names(where, expression, entity)
        case None:
            pass


def _late_names(where: str, expression: Expr, entity: EntityDef) -> Iterable[str]:
    """A default sees what was given, and no field whose value is only made after it."""
    fields = {field.name: field for field in entity.fields}
    for name in sorted(path[0] for path in paths_in(expression)):
        used = fields.get(name)
        if used is None:
            continue
        if used.computed is not None:
            yield f"the default of {where} uses {name}, which is computed after it; use its parts"
        elif isinstance(used.default, ExpressionDefault):
            yield f"the default of {where} uses {name}, whose default is an expression itself"


def _computed(where: str, entity: EntityDef, field: FieldDef) -> Iterable[str]:
    if field.computed is None:
        return
    broken = list(_expression(where, field.computed.expression, entity, field.type))
    yield from broken
    if broken or field.optional:
        return
    if expression_type(field.computed.expression, own_fields(entity))[1]:
        yield (
            f"{where} is required, but its expression can be NULL; declare it optional, or use "
            "coalesce()"
        )


def _fill(where: str, field: FieldDef) -> Iterable[str]:
    if field.fill is None:
        return
    if field.computed is not None and not field.computed.stored:
        yield f"{where} is computed when read and needs no fill; leave it out"
    yield from _literal(where, "fill", field, field.fill)


def _literal(where: str, what: str, field: FieldDef, value: object) -> Iterable[str]:
    if list(_type(where, field.type)):
        return  # what a broken type could hold is not worth a second sentence
    try:
        field_literal(field.type, value, f"the {what} of {where}")
    except (QueryError, ValueTypeError, ValueRangeError) as error:
        yield error.message


def _expression(where: str, expression: Expr, entity: EntityDef, kind: Type) -> Iterable[str]:
    try:
        coerce_literals(expression, own_fields(entity), expected=kind)
    except (QueryError, LimitError) as error:
        yield f"{where}: {error.message}"
        return
    for node in walk(expression):
        if isinstance(node, Call) and node.name in {"now", "uuid7"}:
            yield (
                f"{where} calls {node.name}(), whose answer changes by itself; "
                "use a field that keeps the value"
            )


# --- computed fields among each other -----------------------------------------------------------


def _all_computed(entity: EntityDef, fields: Mapping[str, FieldDef]) -> Iterable[str]:
    broken: list[str] = []
    for field in entity.fields:
        broken += _computed(f"{entity.name}.{field.name}", entity, field)
    yield from broken
    if broken:
        return
    order, circles = _by_dependence(fields)
    for circle in circles:
        yield (
            f"{entity.name}.{circle[0]}: the computed fields {' -> '.join(circle)} depend on "
            "each other in a circle; compute one of them from plain fields"
        )
    if not circles:
        yield from _order_of_stored(entity, fields)
        yield from _too_much_in_one(entity, fields, order)


def _by_dependence(fields: Mapping[str, FieldDef]) -> tuple[list[str], list[list[str]]]:
    """Every field after those it is computed from, and the circles that make this impossible."""
    order: dict[str, None] = {}
    circles: list[list[str]] = []
    for start in fields:
        trail = {start: iter(_uses(start, fields))}
        while trail:
            name = next(reversed(trail))
            following = next((use for use in trail[name] if use not in order), None)
            if following is None:
                order[name] = None
                del trail[name]
            elif following in trail:
                names = list(trail)
                circles.append([*names[names.index(following) :], following])
                order.update(dict.fromkeys(names))
                break
            else:
                trail[following] = iter(_uses(following, fields))
    return list(order), circles


def _uses(name: str, fields: Mapping[str, FieldDef]) -> list[str]:
    """The computed fields that a computed field is made of."""
    field = fields.get(name)
    if field is None or field.computed is None:
        return []
    names = sorted(path[0] for path in paths_in(field.computed.expression) if len(path) == 1)
    return [n for n in names if n in fields and fields[n].computed is not None]


def _order_of_stored(entity: EntityDef, fields: Mapping[str, FieldDef]) -> Iterable[str]:
    position = {name: number for number, name in enumerate(fields)}
    for field in entity.fields:
        if field.computed is None or not field.computed.stored:
            continue
        for name in sorted(_stored_below(field.name, fields)):
            if position[name] > position[field.name]:
                yield (
                    f"{entity.name}.{field.name} is stored and computed from {name}, which is "
                    f"stored and declared after it; declare {name} first"
                )


def _too_much_in_one(
    entity: EntityDef, fields: Mapping[str, FieldDef], order: Iterable[str]
) -> Iterable[str]:
    """Reading a computed field reads those it is made of, so what they add up to is bounded."""
    sizes: dict[str, tuple[int, int]] = {}  # parts and depth, with everything written out
    for name in order:
        computed = fields[name].computed
        if computed is None:
            continue
        parts, depth = sum(1 for _ in walk(computed.expression)), 1
        for use in _uses(name, fields):
            used = fields[use].computed
            if used is not None and not used.stored:
                parts, depth = parts + sizes[use][0], max(depth, 1 + sizes[use][1])
        sizes[name] = parts, depth
        if parts > limits.EXPRESSION_NODES_MAX or depth > limits.EXPRESSION_DEPTH_MAX:
            yield (
                f"{entity.name}.{name} is computed from computed fields {depth} deep, {parts} "
                f"parts in all; at most {limits.EXPRESSION_DEPTH_MAX} deep and "
                f"{limits.EXPRESSION_NODES_MAX} parts, so store a field on the way"
            )
            return


def _stored_below(start: str, fields: Mapping[str, FieldDef]) -> set[str]:
    """The stored computed fields that a field needs, those behind virtual ones included."""
    found: set[str] = set()
    seen, waiting = {start}, _uses(start, fields)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        computed = fields[name].computed
        if computed is not None and computed.stored:
            found.add(name)
        waiting.extend(_uses(name, fields))
    return found
