"""A schema as Python source: typed classes that build the schema again.

    class Flight(Entity):
        "One departure."

        id: Field[int] = field(identity=True, default=sequence())
        tailnum: Field[str | None] = field(default=None)
        plane: One[Plane | None] = one(via="tailnum", enforced=False)

        __indexes__ = (index("tailnum", desc("id")),)

Every value is written as a literal or a call of a class that the source imports; what is not needed
is not imported.

Invariants (held by tests/property/test_python_source.py):
  1. The source, executed, builds an equal bundle (but for numbers).
  2. Names of the schema that Python cannot spell stand in `name=`, nowhere else.
"""

from __future__ import annotations

import datetime
import decimal
import inspect
import math
import typing
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from ormdb.ir.expr import Expr
from ormdb.ir.schema import (
    EntityDef,
    ExpressionDefault,
    NowDefault,
    SchemaBundle,
    SequenceDefault,
)
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    DecimalType,
    DurationType,
    EnumType,
    FloatType,
    IntType,
    JsonType,
    ListType,
    StructType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
)
from ormdb.model.build_relations import index_name
from ormdb.model.declaration import DefaultOf, Descending
from ormdb.model.members import (
    USED_NAMES,
    Member,
    Names,
    identifier,
    index_columns,
    members,
    refinements,
    shorthand_count,
    struct_attributes,
    struct_name,
)

# Where the generated source imports the face from.
_FACE: Final = "ormdb"
_COLUMNS_MAX: Final = 100
_MODULES: Final[Mapping[str, str]] = {
    "Decimal": "decimal",
    "Literal": "typing",
    "UTC": "datetime",
    "UUID": "uuid",
    "date": "datetime",
    "datetime": "datetime",
    "time": "datetime",
    "timedelta": "datetime",
}
_PLAIN: Final[Mapping[type, str]] = {
    BoolType: "bool",
    IntType: "int",
    FloatType: "float",
    TextType: "str",
    BytesType: "bytes",
    UuidType: "UUID",
    DecimalType: "Decimal",
    TimestampType: "datetime",
    DateType: "date",
    TimeType: "time",
    DurationType: "timedelta",
    JsonType: "Json",
}
_EXPRESSIONS: Final = typing.get_args(Expr)
_BUILTIN: Final = frozenset({"bool", "int", "float", "str", "bytes"})


def python_source(bundle: SchemaBundle) -> str:
    """Return a module that declares `bundle` as typed classes, listed in `SCHEMA`."""
    return _Writer(bundle).write()


class _Writer:
    """One source in the making: it gathers the names that have to be imported."""

    def __init__(self, bundle: SchemaBundle) -> None:
        self._bundle = bundle
        self._names = Names(bundle)
        self._used: set[str] = set()
        self._structs: dict[StructType, str] = {}
        self._struct_sources: list[str] = []

    def write(self) -> str:
        classes = [self._class(entity) for entity in self._bundle.entities]
        listed = ", ".join(self._names.classes[entity.name] for entity in self._bundle.entities)
        ends = [f"SCHEMA = [{listed}]"]
        if self._bundle.doc:
            ends.append(f"SCHEMA_DOC = {_quoted(self._bundle.doc)}")
        parts = [*self._struct_sources, *classes]
        body = "".join(f"\n\n{part}\n" for part in parts)
        return f"{self._imports()}{body}\n\n{chr(10).join(ends)}\n"

    def _imports(self) -> str:
        by_module: dict[str, list[str]] = {}
        for name in sorted(self._used - {"dataclasses"}):
            by_module.setdefault(_MODULES.get(name, _FACE), []).append(name)
        by_module.setdefault(_FACE, []).insert(0, "Entity")
        lines = ["from __future__ import annotations", ""]
        if "dataclasses" in self._used:
            lines.append("import dataclasses")
        standard = [module for module in sorted(by_module) if module != _FACE]
        lines += [_import(module, by_module[module]) for module in standard]
        if lines[-1]:
            lines.append("")
        lines.append(_import(_FACE, by_module[_FACE]))
        return "\n".join(lines) + "\n"

    def _use(self, name: str) -> str:
        if name not in _BUILTIN:
            self._used.add(name)
        return name

    # --- classes ------------------------------------------------------------------------------

    def _class(self, entity: EntityDef) -> str:
        name = self._names.classes[entity.name]
        options = ["Entity"] if name == entity.name else ["Entity", f"name={_quoted(entity.name)}"]
        doc: list[str] = []
        if _fits_docstring(entity.doc):
            first, *others = entity.doc.split("\n")
            text = "\n".join([first, *(f"    {line}" if line else "" for line in others)])
            doc = [f'    """{text}"""', ""]
        elif entity.doc:
            options.append(f"doc={_quoted(entity.doc)}")
        body: list[str] = []
        for member in members(self._bundle, entity, self._names):
            body += self._member(member, name)
        lines = [*(f"    {line}" for line in body), *self._constraints(entity)]
        return "\n".join([f"class {name}({', '.join(options)}):", *doc, *(lines or ["    pass"])])

    def _member(self, member: Member, class_name: str) -> list[str]:
        if member.type is None:
            held = str(member.target)
        else:
            held = self._annotation(member.type, struct_name(class_name, member.attribute))
        held = f"{held} | None" if member.optional else held
        start = f"{member.attribute}: {self._use(member.marker)}[{held}]"
        if not member.options:
            return [start]
        options = [
            f"{option}={self._option(value, member.type)}"
            for option, value in member.options.items()
        ]
        return _call(f"{start} = {self._use(member.marker.lower())}", options)

    def _constraints(self, entity: EntityDef) -> Iterator[str]:
        indexes: list[str] = []
        for index in entity.indexes[shorthand_count(entity) :]:
            columns = index_columns(entity.name, index.fields, self._names)
            options = [self._option(column, None) for column in columns]
            options += ["unique=True"] if index.unique else []
            options += ["deferred=True"] if index.deferred else []
            if index.condition is not None:
                options.append(f"where={_quoted(_expression_text(index.condition))}")
            names = (part.field for part in index.fields)
            usual = index_name(names, unique=index.unique, kind=index.kind)
            options += [f"name={_quoted(index.name)}"] if index.name != usual else []
            function = "index" if index.kind == "ordered" else index.kind
            indexes += _call(self._use(function), options, ending=",")
        checks: list[str] = []
        for number, check in enumerate(entity.checks, start=1):
            options = [_quoted(_expression_text(check.expression))]
            options += [f"name={_quoted(check.name)}"] if check.name != f"check_{number}" else []
            checks += _call(self._use("check"), options, ending=",")
        if entity.soft_delete:
            yield from ("", "    __soft_delete__ = True")
        for name, lines in (("__indexes__", indexes), ("__checks__", checks)):
            if lines:
                yield from ("", f"    {name} = (", *(f"        {line}" for line in lines), "    )")

    # --- types and values ---------------------------------------------------------------------

    def _annotation(self, kind: Type, wanted: str) -> str:
        match kind:
            case EnumType(variants=variants):
                return f"{self._use('Literal')}[{', '.join(map(_quoted, variants))}]"
            case ListType(item=item):
                return f"tuple[{self._annotation(item, wanted)}, ...]"
            case StructType():
                return self._struct(kind, wanted)
            case _:
                return self._use(_PLAIN[type(kind)])

    def _struct(self, kind: StructType, wanted: str) -> str:
        """Equal structs are one dataclass, named after the first field that holds one."""
        if kind in self._structs:
            return self._structs[kind]
        taken = USED_NAMES | set(self._names.classes.values()) | set(self._structs.values())
        name = identifier(wanted, taken, ())
        self._structs[kind] = name
        self._use("dataclasses")
        lines = ["@dataclasses.dataclass(frozen=True)", f"class {name}:"]
        for attribute, part in struct_attributes(kind):
            held = self._annotation(part.type, name)
            metadata: dict[str, object] = dict(refinements(part.type))
            if attribute != part.name:
                metadata["name"] = part.name
            made = (
                f" = dataclasses.field(metadata={self._value(metadata, None)})" if metadata else ""
            )
            lines.append(f"    {attribute}: {held}{' | None' if part.optional else ''}{made}")
        self._struct_sources.append("\n".join(lines))
        return name

    def _option(self, value: Any, kind: Type | None) -> str:
        if isinstance(value, DefaultOf):
            return self._default(value.source)
        if isinstance(value, Descending):
            return f"{self._use('desc')}({_quoted(value.field)})"
        if type(value) in _EXPRESSIONS:
            return _quoted(_expression_text(value))
        return self._value(value, kind)

    def _default(self, source: object) -> str:
        match source:
            case NowDefault():
                return f"{self._use('now')}()"
            case SequenceDefault():
                return f"{self._use('sequence')}()"
            case ExpressionDefault(expression=expression):
                return f"{self._use('expression')}({_quoted(_expression_text(expression))})"
            case _:
                return f"{self._use('uuid7')}()"

    def _value(self, value: object, kind: Type | None) -> str:
        """`kind` matters for structs, which are dicts in `ir` and dataclass objects in Python."""
        made_of = type(value)
        if made_of is dict:
            return self._mapping(cast("Mapping[str, object]", value), kind)
        if made_of is list:
            listed = cast("list[object]", value)
            return f"[{', '.join(self._value(one, None) for one in listed)}]"
        if made_of is tuple:
            items = [self._option(one, None) for one in cast("tuple[object, ...]", value)]
            return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
        return self._scalar(value)

    def _mapping(self, value: Mapping[str, object], kind: Type | None) -> str:
        if isinstance(kind, StructType):
            attributes = {part.name: attribute for attribute, part in struct_attributes(kind)}
            parts = (f"{attributes[name]}={self._value(one, None)}" for name, one in value.items())
            return f"{self._structs[kind]}({', '.join(parts)})"
        pairs = (f"{_quoted(key)}: {self._value(one, None)}" for key, one in value.items())
        return f"{{{', '.join(pairs)}}}"

    def _scalar(self, value: object) -> str:
        if isinstance(value, float) and math.isinf(value):
            return f'float("{value}")'
        if isinstance(value, decimal.Decimal):
            return f'{self._use("Decimal")}("{value}")'
        if isinstance(value, uuid.UUID):
            return f'{self._use("UUID")}("{value}")'
        if isinstance(value, datetime.datetime):
            self._use("UTC")
            moment = ", ".join(map(str, (*value.timetuple()[:6], value.microsecond)))
            return f"{self._use('datetime')}({moment}, tzinfo=UTC)"
        if isinstance(value, datetime.date):
            return f"{self._use('date')}({value.year}, {value.month}, {value.day})"
        if isinstance(value, datetime.time):
            clock = (value.hour, value.minute, value.second, value.microsecond)
            return f"{self._use('time')}({', '.join(map(str, clock))})"
        if isinstance(value, datetime.timedelta):
            return f"{self._use('timedelta')}({value.days}, {value.seconds}, {value.microseconds})"
        return _quoted(value) if isinstance(value, str) else repr(value)


def _import(module: str, names: Iterable[str]) -> str:
    listed = sorted(set(names))
    line = f"from {module} import {', '.join(listed)}"
    if len(line) <= _COLUMNS_MAX:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in listed), ")"])


def _call(head: str, arguments: list[str], *, ending: str = "") -> list[str]:
    """A call on one line, or on one per argument where it would be too long."""
    line = f"{head}({', '.join(arguments)}){ending}"
    if len(line) <= _COLUMNS_MAX - 8:
        return [line]
    return [f"{head}(", *(f"    {one}," for one in arguments), f"){ending}"]


def _fits_docstring(doc: str) -> bool:
    """Whether a docstring reads back exactly as it was."""
    if not doc or doc != inspect.cleandoc(doc) or '"""' in doc or doc.endswith('"'):
        return False
    return "\\" not in doc and all(char == "\n" or char.isprintable() for char in doc)


def _quoted(text: str) -> str:
    """A string literal, in double quotes where that changes nothing else."""
    literal = repr(text)
    return literal if '"' in text else f'"{literal[1:-1]}"'


def _expression_text(expression: Expr) -> str:
    from ormdb.model.expression_text import format_expression

    return format_expression(expression)
