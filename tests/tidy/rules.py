"""The rules of the house that no off-the-shelf checker knows, each as one function.

A rule takes a file and yields a sentence for everything in it that breaks the rule:

    functions_are_short(Source("ormdb/x.py", …))
        ->  "ormdb/x.py:12: load_rows has 71 lines; at most 60"

Rules that look for words skip this folder, which has to spell them.

Invariants (held by tests/tidy/test_rules.py):
  1. No file of the project breaks a rule.
  2. Every rule finds the violation planted for it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Final, TypeAlias

from tests.tidy.tree import Source

Rule: TypeAlias = Callable[[Source], Iterator[str]]

MODULE_LINES_MAX: Final = 600
FUNCTION_LINES_MAX: Final = 60
LINE_CHARS_MAX: Final = 100
POSITIONAL_PARAMETERS_MAX: Final = 5
ESSAY_FROM_LINES: Final = 100  # a module longer than this opens with more than a sentence
ESSAY_LINES_MIN: Final = 4
TEST_NAME_WORDS_MIN: Final = 4

LONG_BECAUSE: Final = "# long because: "
CODEGEN: Final = "ormdb/storage/codegen.py"
MUTANTS: Final = "tests/mutation/operators.py"  # the engine's own code, with a mistake in it
# Where an exception has nowhere to go: the shell's edge, and functions that C calls.
CATCHES_ALL: Final = ("ormdb/cli", "ormdb/ir/arrow_stream.py")

EMPTY_WORDS: Final = frozenset({"util", "utils", "helper", "helpers", "common", "manager", "base"})
SERIALIZERS: Final = frozenset({"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle"})

LATER: Final = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|pragma: no cover")
BARE_IGNORE: Final = re.compile(
    r"#\s*type:\s*ignore(?!\[)|#\s*pyright:\s*ignore(?!\[)|#\s*noqa(?!:)"
)
# What follows is addressed to a checker and counts for no line's length, as in ruff.
IGNORE: Final = re.compile(r"#\s*(?:type:\s*ignore|pyright:\s*ignore|noqa:)")
MACHINE_PATH: Final = re.compile(r"(?<![\w.:/>~-])/(?:home|root|work|Users|mnt)/\w")
REGISTRY_HOST: Final = re.compile(r"(?:pypi|pythonhosted|npmjs|crates)\.(?:org|com|io)")
TICKET: Final = re.compile(r"\b(?:issue|ticket|pull request) #?\d", re.IGNORECASE)
TEST_PATH: Final = re.compile(r"\btests/[\w/]+\.py\b")


def modules_are_short(source: Source) -> Iterator[str]:
    if not source.is_code or any(line.startswith(LONG_BECAUSE) for line in source.lines):
        return
    if (count := len(source.lines)) > MODULE_LINES_MAX:
        yield f"{source.path}: has {count} lines; at most {MODULE_LINES_MAX}"


def functions_are_short(source: Source) -> Iterator[str]:
    for node in _functions(source):
        count = (node.end_lineno or node.lineno) - node.lineno + 1
        if count > FUNCTION_LINES_MAX and LONG_BECAUSE not in source.lines[node.lineno - 1]:
            yield (
                f"{source.path}:{node.lineno}: {node.name} has {count} lines; at most"
                f" {FUNCTION_LINES_MAX}, or say '{LONG_BECAUSE}…' beside its def"
            )


def lines_are_short(source: Source) -> Iterator[str]:
    if source.is_code:
        for number, line in enumerate(source.lines, 1):
            said = IGNORE.split(line, maxsplit=1)[0].rstrip()
            if len(said) > LINE_CHARS_MAX:
                yield f"{source.path}:{number}: {len(said)} columns; at most {LINE_CHARS_MAX}"


def positional_parameters_are_few(source: Source) -> Iterator[str]:
    for node in _functions(source):
        names = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
        count = len([name for name in names if name not in {"self", "cls"}])
        if count > POSITIONAL_PARAMETERS_MAX and not node.name.startswith("test_"):
            yield (
                f"{source.path}:{node.lineno}: {node.name} takes {count} positional parameters;"
                f" at most {POSITIONAL_PARAMETERS_MAX}, the rest by keyword"
            )


def names_say_something(source: Source) -> Iterator[str]:
    if not source.is_code:
        return
    for part in PurePosixPath(source.path).with_suffix("").parts:
        if empty := EMPTY_WORDS.intersection(part.split("_")):
            yield f"{source.path}: {min(empty)!r} says nothing about what is in it"
    for node in source.nodes():
        if isinstance(node, ast.ClassDef) and not source.is_test:
            words = {word.lower() for word in re.findall(r"[A-Z][a-z]*", node.name)}
            if empty := EMPTY_WORDS.intersection(words):
                yield f"{source.path}:{node.lineno}: class {node.name}: {min(empty)!r} is empty"


def ignores_name_their_rule(source: Source) -> Iterator[str]:
    yield from _matches(source, BARE_IGNORE, "name the rule that is ignored, in brackets")


def exceptions_are_caught_by_name(source: Source) -> Iterator[str]:
    if source.path.startswith(CATCHES_ALL):
        return
    for node in _nodes_of_code(source):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = "everything" if node.type is None else ast.unparse(node.type)
        again = any(isinstance(each, ast.Raise) for each in ast.walk(node))
        if caught in {"everything", "Exception"} or (caught == "BaseException" and not again):
            yield f"{source.path}:{node.lineno}: catches {caught}; name what can be handled here"


def nothing_is_left_for_later(source: Source) -> Iterator[str]:
    yield from _matches(source, LATER, "do it, or leave it out")
    if source.is_engine:
        for node in source.nodes():
            if isinstance(node, ast.Name) and node.id == "NotImplementedError":
                yield f"{source.path}:{node.lineno}: raises what is not built; UnsupportedError"


def modules_open_with_an_essay(source: Source) -> Iterator[str]:
    if not source.is_code or not source.text.strip():
        return
    if not source.docstring:
        yield f"{source.path}: says nothing about itself; open with a docstring"
    elif source.is_engine and len(source.lines) > ESSAY_FROM_LINES:
        count = len([line for line in source.docstring.splitlines() if line.strip()])
        if count < ESSAY_LINES_MIN:
            yield f"{source.path}: its docstring has {count} lines; write the essay"


def named_tests_exist(source: Source) -> Iterator[str]:
    if source.is_engine:
        for path in TEST_PATH.findall(source.docstring):
            if path not in source.tree_paths:
                yield f"{source.path}: its invariants are held by {path}, which does not exist"


def code_is_generated_in_one_place(source: Source) -> Iterator[str]:
    for node in _nodes_of_code(source):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            if name == "eval" or (
                name in {"exec", "compile"} and source.path not in {CODEGEN, MUTANTS}
            ):
                yield f"{source.path}:{node.lineno}: {name}() belongs into {CODEGEN} alone"


def pickles_are_never_read(source: Source) -> Iterator[str]:
    if not source.is_engine:
        return
    for node in source.nodes():
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in SERIALIZERS.intersection(each.split(".")[0] for each in names):
            yield f"{source.path}: imports {name}, which runs whatever the bytes say"


def test_names_are_sentences(source: Source) -> Iterator[str]:
    if source.is_test:
        for node in _functions(source):
            words = len(node.name.split("_")) - 1
            if node.name.startswith("test_") and words < TEST_NAME_WORDS_MIN:
                yield f"{source.path}:{node.lineno}: {node.name} is no sentence that can be false"


def tests_never_sleep(source: Source) -> Iterator[str]:
    if source.path.startswith("tests/"):
        for node in _nodes_of_code(source):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "sleep"}:
                yield f"{source.path}:{node.lineno}: sleeps; wait for what is waited for"


def paths_of_one_machine_stay_out(source: Source) -> Iterator[str]:
    yield from _matches(source, MACHINE_PATH, "a path of one machine")
    yield from _matches(source, REGISTRY_HOST, "a package registry is the reader's own choice")


def reasons_stand_on_their_own(source: Source) -> Iterator[str]:
    yield from _matches(source, TICKET, "say the reason, not where it was discussed")


RULES: Final[tuple[Rule, ...]] = (
    modules_are_short,
    functions_are_short,
    lines_are_short,
    positional_parameters_are_few,
    names_say_something,
    ignores_name_their_rule,
    exceptions_are_caught_by_name,
    nothing_is_left_for_later,
    modules_open_with_an_essay,
    named_tests_exist,
    code_is_generated_in_one_place,
    pickles_are_never_read,
    test_names_are_sentences,
    tests_never_sleep,
    paths_of_one_machine_stay_out,
    reasons_stand_on_their_own,
)


def _functions(source: Source) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in _nodes_of_code(source):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _nodes_of_code(source: Source) -> Iterator[ast.AST]:
    if source.is_code:
        yield from source.nodes()


def _matches(source: Source, pattern: re.Pattern[str], remedy: str) -> Iterator[str]:
    if source.path.startswith("tests/tidy/"):
        return
    for number, line in enumerate(source.lines, 1):
        if found := pattern.search(line):
            yield f"{source.path}:{number}: {found.group()!r}: {remedy}"
