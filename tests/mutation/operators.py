"""Mutants: the small mistakes that somebody could have made, as edits of a module's syntax tree.

    if len(level.rows) < most:            `<` -> `<=`           a bound that is off by one
        return level, counts              `if c` -> `if not c`  the wrong branch
    whole = max(at for at in places)      `max` -> `min`
    return sliced(level, 0, whole)        `0` -> `1`

An edit is found by its number among the edits of its module, which are in order of their lines; so
a number and a source are enough to make a mutant, in any process.  Left alone are what changes no
behaviour that anybody promises: annotations, docstrings, `assert` (it states what is true anyway),
the words of errors, `__repr__`, and code outside of functions, which runs once.

Invariants (held by tests/unit/test_mutation.py):
  1. Every operator makes the edit that its description says, and nothing else.
  2. A mutant has other byte code than its original.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import CodeType
from typing import Any, Final, TypeAlias

Put: TypeAlias = Callable[[ast.AST], None]
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

BOUNDARIES: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
OPPOSITES: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
CALLS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
LABEL_CHARS_MAX: Final = 70


@dataclass(frozen=True, slots=True)
class Mutant:
    """One edit of one module; `text` says it in the module's own words."""

    path: str
    function: str
    line: int
    number: int
    text: str

    @property
    def name(self) -> str:
        """What a list of mutants calls it, whatever line it stands on."""
        return f"{self.path} {self.function}: {self.text}"


@dataclass(frozen=True, slots=True)
class Edit:
    """What to change in a tree, and how it reads."""

    function: str
    line: int
    text: str
    apply: Callable[[], None]


def mutants_of(path: str, source: str) -> list[Mutant]:
    """Every mutant of a module, in order of its lines."""
    edits = _edits(ast.parse(source))
    return [
        Mutant(path, edit.function, edit.line, number, edit.text)
        for number, edit in enumerate(edits)
    ]


def mutated_code(mutant: Mutant, source: str, filename: str) -> CodeType | None:
    """The code of the function that a mutant changes; None where the change is none.

    It is the outermost function, with all that is nested in it.
    """
    tree = ast.parse(source)
    _edits(tree)[mutant.number].apply()
    codes = functions_of(ast.fix_missing_locations(tree), filename)
    for key, code in functions_of(ast.parse(source), filename).items():
        new = codes[key]
        if _behaviour(new) != _behaviour(code):
            return new if new.co_freevars == code.co_freevars else None
    return None


def functions_of(tree: ast.Module, filename: str) -> dict[tuple[str, int], CodeType]:
    """The code of a module's functions, and of its classes', by qualified name and first line."""
    return dict(_functions_in(compile(tree, filename, "exec")))


def _functions_in(module: CodeType) -> Iterator[tuple[tuple[str, int], CodeType]]:
    for code in module.co_consts:
        if isinstance(code, CodeType):
            if code.co_flags & 0x2:  # a function has fast locals, the body of a class has not
                yield (code.co_qualname, code.co_firstlineno), code
            else:
                yield from _functions_in(code)


def _behaviour(code: CodeType) -> tuple[object, ...]:
    """What code does, without the lines that it stands on."""
    consts: list[object] = [
        _behaviour(it) if isinstance(it, CodeType) else (type(it), it) for it in code.co_consts
    ]
    return (code.co_code, code.co_names, code.co_varnames, code.co_cellvars, consts)


def _edits(tree: ast.Module) -> list[Edit]:
    found = [
        edit
        for name, function in _functions(tree.body, "")
        for edit in _in_function(name, function)
    ]
    return sorted(found, key=lambda edit: edit.line)  # a stable sort


def _functions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, Function]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "__repr__":
            yield prefix + node.name, node


def _in_function(name: str, function: Function) -> Iterator[Edit]:
    line = function.lineno
    for at, statement in enumerate(function.body):
        for node, put in _walk(statement, _item_setter(function.body, at)):
            line = getattr(node, "lineno", line)
            for old, new, apply in _of_node(node, put):
                yield Edit(name, line, f"`{_short(old)}` -> `{_short(new)}`", apply)


def _walk(node: ast.AST, put: Put) -> Iterator[tuple[ast.AST, Put]]:
    """A node and all below that may be edited, each with what puts another one in its place."""
    if isinstance(node, ast.Assert | ast.Raise) or _states_what_is_true(node):
        return
    yield node, put
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "type_comment", "args"} and (
            isinstance(value, ast.arguments) or name != "args"
        ):
            continue
        if isinstance(value, ast.AST):
            yield from _walk(value, _field_setter(node, name))
        elif isinstance(value, list):
            items: Any = getattr(node, name)
            for at, item in enumerate(items):
                if isinstance(item, ast.AST):
                    yield from _walk(item, _item_setter(items, at))


def _states_what_is_true(node: ast.AST) -> bool:
    """`zip(strict=True)` and the type checkers' narrowing, which are asserts of another kind."""
    match node:
        case ast.keyword(arg="strict"):
            return True
        case ast.Call(func=ast.Name(id="isinstance" | "cast" | "assert_never")):
            return True
        case _:
            return False


def _field_setter(node: ast.AST, name: str) -> Put:
    return lambda new: setattr(node, name, new)


def _item_setter(items: list[Any], at: int) -> Put:
    return lambda new: items.__setitem__(at, new)


def _of_node(node: ast.AST, put: Put) -> Iterator[tuple[str, str, Callable[[], None]]]:
    """The edits of one node: how it reads before and after, and what makes the change."""
    match node:
        case ast.Compare():
            for at, operator in enumerate(node.ops):
                other = BOUNDARIES.get(type(operator)) or OPPOSITES[type(operator)]
                new = ast.Compare(node.left, _replaced(node.ops, at, other()), node.comparators)
                yield _edit(node, new, put)
        case ast.BoolOp():
            other_join = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield _edit(node, ast.BoolOp(other_join, node.values), put)
        case ast.UnaryOp(op=ast.Not()):
            yield _edit(node, ast.Call(ast.Name("bool", ast.Load()), [node.operand], []), put)
        case ast.UnaryOp(op=ast.USub()):
            yield _edit(node, node.operand, put)
        case ast.BinOp() if type(node.op) in ARITHMETIC:
            yield _edit(node, ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right), put)
        case ast.AugAssign() if type(node.op) in ARITHMETIC:
            swapped = ARITHMETIC[type(node.op)]()
            yield _edit(node, ast.AugAssign(node.target, swapped, node.value), put)
        case ast.Constant(value=bool()):
            yield _edit(node, ast.Constant(not node.value), put)
        case ast.Constant(value=(int() | float()) as number):
            yield _edit(node, ast.Constant(number + 1), put)
            if number == 1:
                yield _edit(node, ast.Constant(0), put)
        case ast.Call(func=ast.Name(id=called)) if called in CALLS:
            new_call = ast.Call(ast.Name(CALLS[called], ast.Load()), node.args, node.keywords)
            yield _edit(node, new_call, put)
        case ast.Subscript(slice=ast.Slice(lower=lower, upper=upper, step=step)):
            for kept in (ast.Slice(None, upper, step), ast.Slice(lower, None, step)):
                if ast.dump(kept) != ast.dump(node.slice):
                    yield _edit(node, ast.Subscript(node.value, kept, node.ctx), put)
        case _:
            yield from _of_statement(node, put)


def _of_statement(node: ast.AST, put: Put) -> Iterator[tuple[str, str, Callable[[], None]]]:
    """The edits of a statement, or of a condition as a whole."""
    match node:
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            if not _is_flipped_elsewhere(test):
                new = ast.UnaryOp(ast.Not(), test)
                yield (
                    f"if {ast.unparse(test)}",
                    f"if {ast.unparse(new)}",
                    lambda: setattr(node, "test", new),
                )
        case ast.comprehension():
            for at, test in enumerate(node.ifs):
                if not _is_flipped_elsewhere(test):
                    negated = ast.UnaryOp(ast.Not(), test)
                    yield (
                        f"for … if {ast.unparse(test)}",
                        f"for … if {ast.unparse(negated)}",
                        partial(node.ifs.__setitem__, at, negated),
                    )
        case ast.For():
            nothing = ast.Tuple([], ast.Load())
            text = f"for {ast.unparse(node.target)} in "
            yield (
                text + ast.unparse(node.iter),
                text + "()",
                lambda: setattr(node, "iter", nothing),
            )
        case ast.Break():
            yield _edit(node, ast.Continue(), put)
        case ast.Continue():
            yield _edit(node, ast.Break(), put)
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()):
            yield _edit(node, ast.Pass(), put)
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield _edit(node, ast.Expr(node.value), put)
        case _:
            pass


def _is_flipped_elsewhere(test: ast.expr) -> bool:
    """Whether negating a condition is what an edit of its operator does already."""
    if isinstance(test, ast.UnaryOp):
        return isinstance(test.op, ast.Not)
    return isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in OPPOSITES


def _edit(node: ast.AST, new: ast.AST, put: Put) -> tuple[str, str, Callable[[], None]]:
    placed = ast.copy_location(new, node) if hasattr(node, "lineno") else new
    return ast.unparse(node), ast.unparse(new), lambda: put(placed)


def _replaced(operators: list[ast.cmpop], at: int, other: ast.cmpop) -> list[ast.cmpop]:
    return [*operators[:at], other, *operators[at + 1 :]]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LABEL_CHARS_MAX else line[: LABEL_CHARS_MAX - 1] + "…"
