"""Generated expressions: well typed, nested, with NULLs wherever they may stand.

    maker.condition(3)   not (origin.name in ("JFK", NULL) or f2 + 1 > 7.5) and c0 is None
    maker.value(INT, 2)  coalesce(f2, 3) % length(name)

What is generated never leaves the range of its type: arithmetic takes small fields only, and
products are made of plain operands.  So an answer never depends on which part of a condition is
evaluated first.
"""

from __future__ import annotations

import decimal
import random
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from ormdb.ir.expr import (
    And,
    Arithmetic,
    ArithmeticOp,
    Call,
    Compare,
    CompareOp,
    Expr,
    FieldRef,
    FunctionName,
    InList,
    IsNull,
    Literal,
    Not,
    Or,
)
from ormdb.ir.schema import FieldDef
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
    TextType,
    TimestampType,
    Type,
    Value,
    is_scalar,
)
from tests.oracle.values import any_text, any_value, other_spelling, small_int

Path: TypeAlias = tuple[str, ...]
OPERATORS: Final[tuple[CompareOp, ...]] = ("==", "!=", "<", "<=", ">", ">=")
_NUMBERS: Final[tuple[Type, ...]] = (IntType(), FloatType())
_DAYS: Final[tuple[Type, ...]] = (DateType(), TimestampType())
_TEXT_TESTS: Final[tuple[FunctionName, ...]] = (
    "like",
    "like",
    "ilike",
    "starts_with",
    "ends_with",
    "contains",
    "istarts_with",
    "iends_with",
    "icontains",
)
_JSON_STEPS: Final[tuple[tuple[str | int, ...], ...]] = (
    ("k",),
    ("k",),
    ("k",),
    ("k", "n"),
    ("k", "n", 0),
    ("k", "n", -1),
    (0,),
    (-2,),
    (7, "k"),
)
_JSON_SCALARS: Final[tuple[bool | int | float | str, ...]] = (True, False, 1, 1.0, 1.5, 2, "a", "b")
_JSON_PARTS: Final[tuple[Value, ...]] = (
    [],
    {},
    [1],
    ["a", 1.0, "a"],
    [None],
    {"k": {}},
    {"k": 1},
    {"k": True},
    {"k": {"n": [True]}},
    {"k": {"n": [1]}},
    {"n": [1.5]},
    "text",
    "a",
    7,
    True,
)
_UNORDERED: Final[tuple[CompareOp, ...]] = ("==", "!=")


class ExpressionMaker:
    """Makes expressions over paths.

    Each path comes with the field at its end, and whether its values are small; `values` gives
    some that occur there.
    """

    def __init__(
        self,
        rng: random.Random,
        known: Sequence[tuple[Path, FieldDef, bool]],
        *,
        values: Callable[[Path], Sequence[Value]] = lambda _: (),
        related: Callable[[int], Expr | None] = lambda _: None,
        folded: Callable[[int], Expr | None] = lambda _: None,
    ) -> None:
        self.rng = rng
        self._values = values
        self._related = related
        self._folded = folded
        self._fields = list(known)
        self._scalars = [item for item in known if is_scalar(item[1].type)]

    def condition(self, depth: int) -> Expr:
        """A condition: true, false or NULL."""
        roll = self.rng.random()
        if depth > 0 and roll < 0.55:
            count = self.rng.choice([0, 1, 2, 2, 2, 3])
            items = tuple(self.condition(depth - 1) for _ in range(count))
            return And(items=items) if self.rng.random() < 0.5 else Or(items=items)
        if depth > 0 and roll < 0.7:
            return Not(operand=self.condition(depth - 1))
        made = self.rng.choice(_LEAVES)(self, depth)
        return made if made is not None else Literal(value=self.rng.choice([True, False, None]))

    def value(self, kind: Type, depth: int) -> Expr:
        """An expression of exactly this type."""
        rng = self.rng
        if depth > 0 and rng.random() < 0.75:
            made = self._made(kind, depth - 1)
            if made is not None:
                return made
        found = self._ref(kind, small=True)
        if found is not None and rng.random() < 0.8:
            return found
        return Literal(value=self._plain(kind))

    def field_compared(self, path: Path, kind: Type) -> Expr:
        """A field beside a literal that often occurs in the data."""
        if isinstance(kind, TextType) and self.rng.random() < 0.2:
            return self._begun(path, self._known_text(path))
        op = self._operator(kind)
        ref, literal = FieldRef(path=path), Literal(value=self.beside(path, kind))
        if self.rng.random() < 0.15:
            return Compare(op=op, left=literal, right=ref)
        return Compare(op=op, left=ref, right=literal)

    def field_kept(self, path: Path, kind: Type, value: Value) -> Expr:
        """A condition on a field that is true for this value of it."""
        ref = FieldRef(path=path)
        if value is None:
            return IsNull(operand=ref)
        if isinstance(kind, TextType) and self.rng.random() < 0.4:
            return self._begun(path, value)
        spelled = other_spelling(self.rng, kind, value) if self.rng.random() < 0.3 else value
        if self.rng.random() < 0.3:
            items = [spelled, self.beside(path, kind), self.beside(path, kind)]
            self.rng.shuffle(items)
            return InList(operand=ref, items=Literal(value=tuple(items)))
        op: CompareOp = self.rng.choice(["==", "==", "==", "<=", ">="])
        return Compare(op=op, left=ref, right=Literal(value=spelled))

    def field_listed(self, path: Path, kind: Type) -> Expr:
        """A field in a list, which may be empty or hold NULLs."""
        count = self.rng.choice([0, 1, 1, 2, 3, 6])
        items = [self.beside(path, kind) for _ in range(count)]
        if self.rng.random() < 0.25:
            items.append(None)
        self.rng.shuffle(items)
        return InList(operand=FieldRef(path=path), items=Literal(value=tuple(items)))

    def beside(self, path: Path, kind: Type) -> Value:
        """A literal that may stand beside a field, in whatever form it may be written."""
        rng = self.rng
        if rng.random() < 0.2:
            return self._of_another_class(kind)
        known = self._values(path)
        value = rng.choice(known) if known and rng.random() < 0.85 else None
        if value is None:
            value = any_value(rng, kind, small=rng.random() < 0.5)
        elif isinstance(kind, IntType) and rng.random() < 0.2:
            value = min(max(value + rng.choice([-1, 1]), -(2**63)), 2**63 - 1)
        return other_spelling(rng, kind, value) if rng.random() < 0.3 else value

    # --- leaves of conditions -----------------------------------------------------------------

    def leaf_compare(self, depth: int) -> Expr | None:
        path, definition, _ = self.rng.choice(self._scalars)
        return self.field_compared(path, definition.type)

    def leaf_list(self, depth: int) -> Expr | None:
        path, definition, _ = self.rng.choice(self._scalars)
        return self.field_listed(path, definition.type)

    def leaf_null(self, depth: int) -> Expr | None:
        path, _, _ = self.rng.choice(self._fields)
        tested = IsNull(operand=FieldRef(path=path))
        return tested if self.rng.random() < 0.5 else Not(operand=tested)

    def leaf_truth(self, depth: int) -> Expr | None:
        return self._ref(BoolType(), small=False)

    def leaf_constant(self, depth: int) -> Expr | None:
        return None

    def leaf_fields(self, depth: int) -> Expr | None:
        """Two fields of types that can be compared."""
        path, definition, _ = self.rng.choice(self._scalars)
        kind = definition.type
        others = [p for p, each, _ in self._scalars if p != path and _go_together(kind, each.type)]
        if not others:
            return None
        right = FieldRef(path=self.rng.choice(others))
        return Compare(op=self._operator(kind), left=FieldRef(path=path), right=right)

    def leaf_values(self, depth: int) -> Expr | None:
        """Two calculated values."""
        path, definition, _ = self.rng.choice(self._scalars)
        kind = definition.type
        left, right = self.value(kind, min(depth, 2) + 1), self.value(kind, min(depth, 2))
        plain = isinstance(left, FieldRef | Literal) and isinstance(right, FieldRef | Literal)
        if isinstance(left, Literal):
            left = FieldRef(path=path)
        ordered = plain or not isinstance(kind, EnumType)
        op = self.rng.choice(OPERATORS if ordered else _UNORDERED)
        return Compare(op=op, left=left, right=right)

    def leaf_value_listed(self, depth: int) -> Expr | None:
        path, definition, _ = self.rng.choice(self._scalars)
        kind = definition.type
        operand = self.value(kind, 2)
        if isinstance(operand, Literal):
            operand = FieldRef(path=path)
        items = [self._plain(kind) for _ in range(self.rng.randint(0, 4))]
        if self.rng.random() < 0.3:
            items.append(None)
        return InList(operand=operand, items=Literal(value=tuple(items)))

    def leaf_conditions(self, depth: int) -> Expr | None:
        """A condition used as a value: compared with another, or tested for NULL."""
        inner = self.condition(min(depth, 1))
        if self.rng.random() < 0.5:
            return IsNull(operand=inner)
        if isinstance(inner, Literal):
            return inner
        return Compare(
            op=self.rng.choice(_UNORDERED), left=inner, right=Literal(value=self.rng.random() < 0.5)
        )

    def leaf_related(self, depth: int) -> Expr | None:
        """Something asked about related rows, where there are any to ask about."""
        return self._related(depth)

    def leaf_folded(self, depth: int) -> Expr | None:
        """What is folded from related rows, beside a number or tested for NULL."""
        folded = self._folded(depth)
        if folded is None:
            return None
        if self.rng.random() < 0.2:
            return IsNull(operand=folded)
        bound = Literal(value=self.rng.choice([0, 0, 1, 1, 2, 3, 5, -1]))
        return Compare(op=self.rng.choice(OPERATORS), left=folded, right=bound)

    def leaf_text(self, depth: int) -> Expr | None:
        """Something asked of a text."""
        rng = self.rng
        texts = [path for path, each, _ in self._scalars if isinstance(each.type, TextType)]
        path = rng.choice(texts) if texts else None
        subject: Expr = self.value(TextType(), 2)
        if path is not None and rng.random() < 0.7:
            subject = FieldRef(path=path)
        elif isinstance(subject, Literal):
            return None
        known = any_text(rng) if path is None else self._known_text(path)
        name: FunctionName = rng.choice(_TEXT_TESTS)
        if name in {"like", "ilike"}:
            return Call(name=name, arguments=(subject, Literal(value=self._pattern(known))))
        start = rng.randint(0, len(known))
        part: Expr = Literal(value=known[start : rng.choice([start, start + 1, len(known)])])
        if rng.random() < 0.3:
            part = Literal(value=known[: rng.randint(0, len(known))])
        elif rng.random() < 0.2:
            part = self._ref(TextType(), small=False) or part
        return Call(name=name, arguments=(subject, part))

    def leaf_words(self, depth: int) -> Expr | None:
        """Words looked for in one text or two, and how well they are met."""
        arguments = self._words_in_texts()
        if arguments is None:
            return None
        if self.rng.random() < 0.7:
            return Call(name="matches", arguments=arguments)
        rank = Call(name="rank", arguments=arguments)
        return Compare(op=">", left=rank, right=Literal(value=self.rng.choice([0.0, 0.5, 1.0])))

    def rank(self) -> Expr | None:
        """How well a text or two meet some words; None where there is no text."""
        arguments = self._words_in_texts()
        return None if arguments is None else Call(name="rank", arguments=arguments)

    def _words_in_texts(self) -> tuple[Expr, ...] | None:
        rng = self.rng
        texts = [path for path, each, _ in self._scalars if isinstance(each.type, TextType)]
        if not texts:
            return None
        paths = rng.sample(texts, min(len(texts), rng.choice([1, 1, 1, 2])))
        refs: list[Expr] = [FieldRef(path=path) for path in paths]
        if rng.random() < 0.1:
            refs[0] = Call(name="lower", arguments=(refs[0],))
        return *refs, Literal(value=self._query(paths))

    def _query(self, paths: Sequence[Path]) -> str:
        """What often stands in one of some texts."""
        words = self._known_text(self.rng.choice(paths))[:200].split()
        some = self.rng.sample(words, min(len(words), self.rng.choice([1, 1, 2])))
        return " ".join([*some, self.rng.choice(["the", "", "a!", "x"])]).strip() or "of"

    def leaf_nested(self, depth: int) -> Expr | None:
        """Something asked of JSON or of a list."""
        rng = self.rng
        nested = [
            (p, f.type) for p, f, _ in self._fields if isinstance(f.type, JsonType | ListType)
        ]
        if not nested:
            return None
        path, kind = rng.choice(nested)
        ref = FieldRef(path=path)
        if isinstance(kind, ListType):
            found = [item for items in self._values(path) for item in items]
            known = found and rng.random() < 0.7
            item = rng.choice(found) if known else any_value(rng, kind.item, small=True)
            wanted = (self._ref(kind.item, small=False) if rng.random() < 0.3 else None) or Literal(
                value=item
            )
            return Call(name="has", arguments=(ref, wanted))
        steps = tuple(Literal(value=step) for step in rng.choice(_JSON_STEPS))
        inner = Call(name="at", arguments=(ref, *steps))
        subject = ref if rng.random() < 0.5 else inner
        match rng.choice(["key", "contains", "compare", "compare", "list", "null", "text"]):
            case "key":
                return Call(name="has_key", arguments=(subject, Literal(value=rng.choice("kn"))))
            case "contains":
                part = Literal(value=rng.choice(_JSON_PARTS))
                return Call(name="contains_json", arguments=(subject, part))
            case "compare":
                beside = Literal(value=rng.choice(_JSON_SCALARS))
                return Compare(op=rng.choice(OPERATORS), left=inner, right=beside)
            case "list":
                items = tuple(rng.choice([*_JSON_SCALARS, None]) for _ in range(rng.randint(0, 3)))
                return InList(operand=inner, items=Literal(value=items))
            case "null":
                return IsNull(operand=inner)
            case _:
                return Call(name="starts_with", arguments=(inner, Literal(value="te")))

    def _known_text(self, path: Path) -> str:
        known = self._values(path)
        return self.rng.choice(known) if known and self.rng.random() < 0.85 else any_text(self.rng)

    def _begun(self, path: Path, text: str) -> Expr:
        """A text field that begins as a text does."""
        start = text[
            : self.rng.choice([0, 1, 2, len(text) - 1, len(text), self.rng.randint(0, 500)])
        ]
        ref = FieldRef(path=path)
        if self.rng.random() < 0.5 or len(start) > 400:
            return Call(name="starts_with", arguments=(ref, Literal(value=start)))
        rest = self.rng.choice(["%", "%", "", "_%", "%_"])
        return Call(name="like", arguments=(ref, Literal(value=_escaped(start) + rest)))

    def _pattern(self, text: str) -> str:
        """A pattern that is often that of a text."""
        rng = self.rng
        pieces: list[str] = []
        for char in text[: rng.choice([3, 10, 20])]:
            roll = rng.random()
            pieces.append("_" if roll < 0.1 else "%" if roll < 0.2 else _escaped(char))
        pieces.append(rng.choice(["", "%", "%", "_", "%%", "a"]))
        return "".join(pieces)

    # --- calculated values --------------------------------------------------------------------

    def _made(self, kind: Type, depth: int) -> Expr | None:
        """Something calculated; None where nothing fits."""
        if self.rng.random() < 0.2:
            return self._coalesced(kind, depth)
        match kind:
            case IntType():
                return self._made_int(depth)
            case FloatType():
                op: ArithmeticOp = self.rng.choice(["+", "-", "*", "/", "%"])
                number: Type = self.rng.choice(_NUMBERS)
                left = self.value(number, depth)
                return Arithmetic(op=op, left=left, right=self.value(FloatType(), depth))
            case TextType():
                return self._made_text(depth)
            case DecimalType():
                return self._made_decimal(kind, depth)
            case BoolType():
                made = self.condition(min(depth, 1))
                return None if isinstance(made, Literal) else made
            case DurationType():
                return self._made_duration(depth)
            case TimestampType():
                op = self.rng.choice(["+", "-"])
                right = self.value(DurationType(), 0)
                return Arithmetic(op=op, left=self.value(kind, 0), right=right)
            case _:
                return self._coalesced(kind, depth)

    def _made_int(self, depth: int) -> Expr:
        roll = self.rng.random()
        if roll < 0.2:
            return Call(name="length", arguments=(self.value(TextType(), depth),))
        if roll < 0.3:
            return Call(name="abs", arguments=(self.value(IntType(), depth),))
        if roll < 0.4:
            kind: Type = self.rng.choice(_DAYS)
            return Call(name="year", arguments=(self.value(kind, 0),))
        op: ArithmeticOp = self.rng.choice(["+", "-", "*", "%"])
        down = 0 if op == "*" else depth
        left, right = self.value(IntType(), down), self.value(IntType(), down)
        return Arithmetic(op=op, left=left, right=right)

    def _made_text(self, depth: int) -> Expr:
        name = self.rng.choice(["lower", "upper", "trim", "concat"])
        if name == "concat":
            count = self.rng.randint(1, 3)
            parts = tuple(self.value(TextType(), depth) for _ in range(count))
            return Call(name="concat", arguments=parts)
        argument = (self.value(TextType(), depth),)
        if name == "lower":
            return Call(name="lower", arguments=argument)
        return Call(name="upper" if name == "upper" else "trim", arguments=argument)

    def _made_decimal(self, kind: DecimalType, depth: int) -> Expr | None:
        op: ArithmeticOp = self.rng.choice(["+", "-", "*", "%"])
        either: list[Type] = [kind, IntType()]
        other = IntType() if op == "*" and kind.scale > 4 else self.rng.choice(either)
        down = 0 if op in {"*", "%"} else depth
        return Arithmetic(op=op, left=self.value(kind, down), right=self.value(other, down))

    def _made_duration(self, depth: int) -> Expr:
        roll = self.rng.random()
        if roll < 0.4:
            kind: Type = self.rng.choice(_DAYS)
            return Arithmetic(op="-", left=self.value(kind, 0), right=self.value(kind, 0))
        if roll < 0.6:
            return Call(name="abs", arguments=(self.value(DurationType(), 0),))
        if roll < 0.8:
            left, right = self.value(DurationType(), 0), self.value(IntType(), 0)
            return Arithmetic(op="*", left=left, right=right)
        op: ArithmeticOp = self.rng.choice(["+", "-"])
        left, right = self.value(DurationType(), 0), self.value(DurationType(), 0)
        return Arithmetic(op=op, left=left, right=right)

    def _coalesced(self, kind: Type, depth: int) -> Expr | None:
        first = self._ref(kind, small=True)
        if first is None:
            return None
        last = Literal(value=self._plain(kind))
        return Call(name="coalesce", arguments=(first, last))

    def _ref(self, kind: Type, *, small: bool) -> FieldRef | None:
        """A field of this type; one with small values if it may take part in arithmetic."""
        counted = small and isinstance(
            kind, IntType | DecimalType | DurationType | TimestampType | DateType
        )
        fitting = [p for p, each, ok in self._fields if each.type == kind and (ok or not counted)]
        return FieldRef(path=self.rng.choice(fitting)) if fitting else None

    def _plain(self, kind: Type) -> Value:
        """A literal of exactly the type, small."""
        if isinstance(kind, FloatType):
            return self.rng.choice([0.0, 0.5, -1.5, 2.0, 1e300])
        if isinstance(kind, TextType):
            return any_text(self.rng)
        return any_value(self.rng, kind, small=True)

    def _of_another_class(self, kind: Type) -> Value:
        """A literal of another class than the field's, where one may stand beside it."""
        rng = self.rng
        match kind:
            case IntType():
                others: list[Value] = [1.5, 2.0, -0.5, 1e300, float("-inf"), 2.0**62]
                return rng.choice([*others, decimal.Decimal("1.5"), decimal.Decimal("2.0")])
            case FloatType():
                return rng.choice([0, 1, -1, 2**53 + 1, 2**63 - 1])
            case DecimalType():
                more = [decimal.Decimal("0.0000001"), decimal.Decimal("1E+3"), "12.50", -7]
                return rng.choice([*more, 0.1, 2.5, 2**62, small_int(rng)])
            case BytesType():
                return bytearray(b"\xff")
            case _:
                return any_value(rng, kind)

    def _operator(self, kind: Type) -> CompareOp:
        return self.rng.choice(OPERATORS)


def _escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in "%_\\" else char for char in text)


def _go_together(left: Type, right: Type) -> bool:
    if isinstance(left, EnumType) or isinstance(right, EnumType):
        return left == right
    if type(left) is type(right):
        return True
    kinds = {type(left), type(right)}
    return kinds in ({IntType, FloatType}, {IntType, DecimalType})


_LEAVES: Final[list[Callable[[ExpressionMaker, int], Expr | None]]] = [
    *[ExpressionMaker.leaf_compare] * 8,
    *[ExpressionMaker.leaf_list] * 4,
    *[ExpressionMaker.leaf_null] * 3,
    *[ExpressionMaker.leaf_fields] * 3,
    *[ExpressionMaker.leaf_values] * 3,
    *[ExpressionMaker.leaf_value_listed] * 2,
    *[ExpressionMaker.leaf_conditions] * 2,
    *[ExpressionMaker.leaf_text] * 3,
    *[ExpressionMaker.leaf_words] * 2,
    *[ExpressionMaker.leaf_nested] * 6,
    *[ExpressionMaker.leaf_related] * 3,
    *[ExpressionMaker.leaf_folded] * 2,
    ExpressionMaker.leaf_truth,
    ExpressionMaker.leaf_constant,
]
