"""The functions that put rows into groups and fold groups into cells.

    keys origin_faa, aggregates avg(dep_delay), count(where=distance > p0)

    def part(rows, parts):                      a row costs being put into its group
        for r in rows:
            parts[r.s3].append(r)

    def fold(parts, groups, p0):                and one step of a loop for what is folded of it
        for k, g in parts.items():
            a = groups.get(k)
            if a is None:
                a = groups[k] = [0, 0, 0]
            v0 = [r.s5 for r in g if r.s5 is not None]
            if v0:
                a[0] += len(v0)
                a[1] += sum(v0)
            a[2] += len([1 for r in g if r.s7 > p0])

Sums and extremes are made by Python's own functions.  What several aggregates need is gathered
once.  Where rows are counted and nothing else, their keys are enough.

Invariants (held by tests/property/test_tables.py):
  1. Cells do not depend on how rows are spread over the calls of `part` and `fold`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from ormdb import limits
from ormdb.ir.aggregates import squeeze_floats
from ormdb.ir.expr import Aggregate
from ormdb.ir.value import DecimalType, DurationType, FloatType, Type
from ormdb.storage.codegen import compile_function

_BINDINGS: Final[dict[str, Any]] = {
    "squeeze": squeeze_floats,
    "micro": datetime.timedelta(microseconds=1),
}


@dataclass(frozen=True, slots=True)
class Operand:
    """What an aggregate folds: source of its stored value, and its filter; either may be none."""

    code: str | None
    nullable: bool
    kind: Type | None
    condition: str | None


@dataclass(slots=True)
class FoldCode:
    """Source text in the making; `loop` are the variables of a row and its hops."""

    loop: str
    inits: list[str] = field(default_factory=list[str])
    told_apart: list[int] = field(default_factory=list[int])
    _gathered: dict[Operand, list[str]] = field(default_factory=dict["Operand", "list[str]"])
    _cells: dict[tuple[Operand, str], int] = field(
        default_factory=dict["tuple[Operand, str]", "int"]
    )
    _counted: list[str] = field(default_factory=list[str])

    def cells(self, aggregate: Aggregate, operand: Operand) -> tuple[int, int]:
        """The cells of an aggregate: how many values, and what is kept of them."""
        if operand.code is None:
            number = self._cell(operand, "rows", "0")
            return number, number
        count = self._cell(operand, "values", "0")
        if aggregate.distinct:
            return count, self._cell(operand, "all", "set()")
        match aggregate.function:
            case "count":
                return count, count
            case "min" | "max":
                return count, self._cell(operand, aggregate.function, "None")
            case "sum" | "avg":
                floats = isinstance(operand.kind, FloatType)
                return count, self._cell(operand, "sum", "[]" if floats else "0")

    @property
    def counts_rows_only(self) -> bool:
        """Whether nothing but the number of rows of a group is asked for."""
        return all(kept == "rows" and one.condition is None for one, kept in self._cells)

    def part(self, keys: list[str], hops: int, bindings: dict[str, Any]) -> Callable[..., None]:
        """The function that puts rows under the keys of their groups."""
        arguments = ", ".join(["rows", *(f"h{n}" for n in range(hops)), "parts"])
        item = f"({self.loop})" if hops else self.loop
        text = (
            f"def part({arguments}):\n"
            f"    for {self._over('rows', hops)}:\n"
            f"        parts[{_key(keys)}].append({item})\n"
        )
        return compile_function(text, "part", bindings)

    def tally(
        self, keys: list[str], hops: int, bindings: dict[str, Any]
    ) -> Callable[..., list[Any]]:
        """The function that gives the key of each row."""
        arguments = ", ".join(["rows", *(f"h{n}" for n in range(hops))])
        loop = self._over("rows", hops)
        text = f"def tally({arguments}):\n    return [{_key(keys)} for {loop}]\n"
        return compile_function(text, "tally", bindings)

    def fold(self, parameters: tuple[int, ...], bindings: dict[str, Any]) -> Callable[..., None]:
        """The function that folds rows by key into cells by key."""
        given = ", ".join(["parts", "groups", *(f"p{index}" for index in parameters)])
        lines = [
            f"def fold({given}):",
            "    for k, g in parts.items():",
            "        a = groups.get(k)",
            "        if a is None:",
            f"            a = groups[k] = [{', '.join(self.inits)}]",
            *(f"        {line}" for line in self._counted),
        ]
        for number, (operand, steps) in enumerate(self._gathered.items()):
            values = f"v{number}"
            lines.append(f"        {values} = {self._gather(operand, number)}")
            lines.append(f"        if {values}:")
            lines.extend(f"            {step.replace('@', values)}" for step in steps)
        return compile_function("\n".join(lines) + "\n", "fold", {**bindings, **_BINDINGS})

    def _cell(self, operand: Operand, kept: str, init: str) -> int:
        number = self._cells.get((operand, kept))
        if number is not None:
            return number
        number = self._cells[operand, kept] = len(self.inits)
        self.inits.append(init)
        cell = f"a[{number}]"
        if kept == "rows":
            rows = "len(g)"
            if operand.condition is not None:
                rows = f"len([1 for {self.loop} in g if {operand.condition}])"
            self._counted.append(f"{cell} += {rows}")
            return number
        if kept == "all":
            self.told_apart.append(number)
        self._gathered.setdefault(operand, []).extend(_steps(operand, kept, cell))
        return number

    def _gather(self, operand: Operand, number: int) -> str:
        """The values of a group that are not NULL."""
        code, tests = operand.code, list[str]()
        assert code is not None
        if operand.condition is not None:
            tests.append(f" if {operand.condition}")
        value = code
        if operand.nullable and "(" in code:
            value = f"x{number}_"
            tests.append(f" if ({value} := {code}) is not None")
        elif operand.nullable:
            tests.append(f" if {code} is not None")
        return f"[{value} for {self.loop} in g{''.join(tests)}]"

    def _over(self, rows: str, hops: int) -> str:
        if not hops:
            return f"{self.loop} in {rows}"
        return f"{self.loop} in zip({', '.join([rows, *(f'h{n}' for n in range(hops))])})"


def _steps(operand: Operand, kept: str, cell: str) -> list[str]:
    """The lines that take values, called @, into a cell."""
    match kept:
        case "values":
            return [f"{cell} += len(@)"]
        case "all":
            return [f"{cell}.update(@)"]
        case "min" | "max":
            sign = "<" if kept == "min" else ">"
            return [
                f"m = {kept}(@)",
                f"if {cell} is None or m {sign} {cell}:",
                f"    {cell} = m",
            ]
        case _:
            pass
    match operand.kind:
        case FloatType():
            return [
                f"{cell} += @",
                f"if len({cell}) > {limits.FLOAT_SUM_VALUES_MAX}:",
                f"    {cell} = squeeze({cell})",
            ]
        case DurationType():
            return [f"{cell} += sum([x // micro for x in @])"]
        case DecimalType():
            return [f"{cell} = sum(@, {cell})"]
        case _:
            return [f"{cell} += sum(@)"]


def _key(keys: list[str]) -> str:
    return keys[0] if len(keys) == 1 else f"({', '.join(keys)})"
