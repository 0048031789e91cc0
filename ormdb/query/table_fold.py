"""The function that folds rows into the cells of their groups.

    keys origin_faa, aggregates avg(dep_delay), count(where=distance > p0)

    def fold(rows, groups, p0):
        for r in rows:
            k = r.s3
            a = groups.get(k)
            if a is None:
                a = groups[k] = [0, 0, 0]
            x0 = r.s5
            if x0 is not None:
                a[0] += 1
                a[1] += x0
            if r.s7 > p0:
                a[2] += 1

A row is looked at once, and held no longer than its batch, however many groups there are.  Without
keys, values are gathered in lists and folded by Python's own functions.  What several aggregates
need is made once.  Where rows are counted and nothing else, their keys are enough.

Invariants (held by tests/property/test_tables.py):
  1. Cells do not depend on how rows are spread over the calls.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from ormdb.ir.expr import Aggregate
from ormdb.ir.value import DecimalType, DurationType, FloatType, Type
from ormdb.storage.codegen import compile_function

_BINDINGS: Final[dict[str, Any]] = {"micro": datetime.timedelta(microseconds=1)}


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
    float_sums: list[int] = field(default_factory=list[int])
    _kept: dict[Operand, dict[str, int]] = field(default_factory=dict["Operand", "dict[str, int]"])

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
        return all(one.code is None and one.condition is None for one in self._kept)

    def tally(
        self,
        keys: list[str],
        hops: int,
        parameters: tuple[int, ...],
        bindings: dict[str, Any],
    ) -> Callable[..., list[Any]]:
        """The function that gives the key of each row."""
        lists = [f"h{n}" for n in range(hops)]
        arguments = ", ".join(["rows", *lists, *(f"p{index}" for index in parameters)])
        loop = self._over("rows", hops)
        text = f"def tally({arguments}):\n    return [{_key(keys)} for {loop}]\n"
        return compile_function(text, "tally", bindings)

    def fold(
        self,
        keys: list[str],
        hops: int,
        parameters: tuple[int, ...],
        bindings: dict[str, Any],
    ) -> Callable[..., None]:
        """The function that folds rows into the cells of their groups."""
        lists = [f"h{n}" for n in range(hops)]
        given = ", ".join(["rows", *lists, "groups", *(f"p{index}" for index in parameters)])
        body = self._row_by_row(keys, hops) if keys else self._all_at_once(hops)
        lines = [f"def fold({given}):", *(f"    {line}" for line in body)]
        return compile_function("\n".join(lines) + "\n", "fold", {**bindings, **_BINDINGS})

    def _row_by_row(self, keys: list[str], hops: int) -> list[str]:
        lines = [f"for {self._over('rows', hops)}:", f"    k = {_key(keys)}"]
        lines.extend(f"    {line}" for line in self._take_cells("groups.get(k)", "groups[k]"))
        for number, (operand, kept) in enumerate(self._kept.items()):
            margin = "    "
            if operand.condition is not None:
                lines.append(f"{margin}if {operand.condition}:")
                margin += "    "
            value = f"x{number}"
            if operand.code is not None and (kept.keys() - {"values"} or operand.nullable):
                lines.append(f"{margin}{value} = {operand.code}")
            if operand.nullable:
                lines.append(f"{margin}if {value} is not None:")
                margin += "    "
            for what, cell in kept.items():
                steps = _row_steps(operand, what, f"a[{cell}]", value)
                lines.extend(f"{margin}{step}" for step in steps)
        return lines

    def _all_at_once(self, hops: int) -> list[str]:
        lists = ", ".join(["rows", *(f"h{n}" for n in range(hops))])
        lines = [f"g = [*zip({lists})]" if hops else "g = rows"]
        lines.extend(self._take_cells("groups.get(())", "groups[()]"))
        for number, (operand, kept) in enumerate(self._kept.items()):
            values, size = f"v{number}", f"len(v{number})"
            if operand.code is None and operand.condition is None:
                size = "len(g)"
            elif operand.code is None:
                size = f"len([1 for {self.loop} in g if {operand.condition}])"
            else:
                lines.append(f"{values} = {self._gather(operand, number)}")
            lines.append(f"if {size if operand.code is None else values}:")
            for what, cell in kept.items():
                steps = _list_steps(operand, what, f"a[{cell}]", (values, size))
                lines.extend(f"    {step}" for step in steps)
        return lines

    def _take_cells(self, found: str, place: str) -> list[str]:
        return [
            f"a = {found}",
            "if a is None:",
            f"    a = {place} = [{', '.join(self.inits)}]",
        ]

    def _cell(self, operand: Operand, what: str, init: str) -> int:
        kept = self._kept.setdefault(operand, {})
        if what not in kept:
            kept[what] = len(self.inits)
            self.inits.append(init)
            if what == "all":
                self.told_apart.append(kept[what])
            if init == "[]":
                self.float_sums.append(kept[what])
        return kept[what]

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


def _row_steps(operand: Operand, what: str, cell: str, value: str) -> list[str]:
    """The lines that take one value into a cell."""
    match what:
        case "rows" | "values":
            return [f"{cell} += 1"]
        case "all":
            return [f"{cell}.add({value})"]
        case "min" | "max":
            sign = "<" if what == "min" else ">"
            return [f"m = {cell}", f"if m is None or {value} {sign} m:", f"    {cell} = {value}"]
        case _:
            pass
    match operand.kind:
        case FloatType():
            return [f"{cell}.append({value})"]
        case DurationType():
            return [f"{cell} += {value} // micro"]
        case _:
            return [f"{cell} += {value}"]


def _list_steps(operand: Operand, what: str, cell: str, given: tuple[str, str]) -> list[str]:
    """The lines that take a list of values, of so many, into a cell."""
    values, size = given
    match what:
        case "rows" | "values":
            return [f"{cell} += {size}"]
        case "all":
            return [f"{cell}.update({values})"]
        case "min" | "max":
            sign = "<" if what == "min" else ">"
            return [
                f"m = {what}({values})",
                f"if {cell} is None or m {sign} {cell}:",
                f"    {cell} = m",
            ]
        case _:
            pass
    match operand.kind:
        case FloatType():
            return [f"{cell} += {values}"]
        case DurationType():
            return [f"{cell} += sum([x // micro for x in {values}])"]
        case DecimalType():
            return [f"{cell} = sum({values}, {cell})"]
        case _:
            return [f"{cell} += sum({values})"]


def _key(keys: list[str]) -> str:
    return keys[0] if len(keys) == 1 else f"({', '.join(keys)})"
