"""Mutants: what each operator changes, how a mutant is put in place, and how it is ended."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Final

import pytest

from tests.mutation.__main__ import FLOORS, modules_of, read_equivalent, sample
from tests.mutation.kill_suite import SURVIVED, in_a_fork, swap_code
from tests.mutation.operators import functions_of, mutants_of, mutated_code
from tests.mutation.suites import ROOT, SUITES

SMALL: Final = '''
"""A module of a few functions."""
LIMIT = 3  # outside of functions


class Box:
    @property
    def half(self) -> int:
        """How much fits, 1 at least."""
        assert self.size > 0
        if self.size < LIMIT:
            return 1
        return self.size // 2

    def __init__(self, size: int) -> None:
        self.size = size


def first(items, *, most: int = 5):
    for item, number in zip(items, range(9), strict=True):
        if not item and number == most:
            raise ValueError(f"{number + 1} is nothing")
        return min(item, number), items[number:most]
'''


def texts_of(source: str) -> list[str]:
    return [mutant.text for mutant in mutants_of("m.py", textwrap.dedent(source))]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("return a < b", ["`a < b` -> `a <= b`"]),
        ("return a >= b", ["`a >= b` -> `a > b`"]),
        (
            "return a == b != c",
            ["`a == b != c` -> `a != b != c`", "`a == b != c` -> `a == b == c`"],
        ),
        ("return a is None", ["`a is None` -> `a is not None`"]),
        ("return a in b", ["`a in b` -> `a not in b`"]),
        ("return a and b", ["`a and b` -> `a or b`"]),
        ("return not a", ["`not a` -> `bool(a)`"]),
        ("return -a", ["`-a` -> `a`"]),
        ("return a - b", ["`a - b` -> `a + b`"]),
        ("a += b", ["`a += b` -> `a -= b`"]),
        ("return 1", ["`1` -> `2`", "`1` -> `0`"]),
        ("return True", ["`True` -> `False`"]),
        ("return max(a, b)", ["`max(a, b)` -> `min(a, b)`"]),
        ("return a[b:c]", ["`a[b:c]` -> `a[:c]`", "`a[b:c]` -> `a[b:]`"]),
        ("a.append(b)", ["`a.append(b)` -> `pass`"]),
        ("a.b = c", ["`a.b = c` -> `c`"]),
        ("return b if a else c", ["`if a` -> `if not a`"]),
        ("return [b for b in c if a]", ["`for … if a` -> `for … if not a`"]),
        ("a: Final[int] = b", []),
        ("assert a > 1", []),
        ("raise ValueError(f'{a + 1}')", []),
        ("return list(zip(a, b, strict=True))", []),
    ],
)
def test_an_operator_makes_the_edits_that_it_says(line: str, expected: list[str]) -> None:
    assert texts_of(f"def f(a, b, c):\n    {line}\n") == expected


def test_a_loop_runs_not_at_all_and_ends_elsewhere() -> None:
    texts = texts_of("def f(a):\n    for b in a:\n        if b:\n            break\n")
    assert texts == [
        "`for b in a` -> `for b in ()`",
        "`if b` -> `if not b`",
        "`break` -> `continue`",
    ]


def test_only_what_functions_do_is_changed() -> None:
    mutants = mutants_of("m.py", SMALL)
    assert {mutant.function for mutant in mutants} == {"Box.half", "Box.__init__", "first"}
    assert len(mutants) == 16


def test_every_mutant_has_other_code_than_its_original_in_the_function_that_it_names() -> None:
    originals = {key[0]: code for key, code in functions_of(ast.parse(SMALL), "m.py").items()}
    for mutant in mutants_of("m.py", SMALL):
        code = mutated_code(mutant, SMALL, "m.py")
        assert code is not None
        assert code.co_qualname == mutant.function
        assert code != originals[mutant.function]


def test_the_same_seed_draws_the_same_sample_and_another_seed_another() -> None:
    first, second, third = (
        [mutant.name for mutant, _ in sample({"m.py": SMALL}, seed, 5)] for seed in (1, 1, 2)
    )
    assert first == second
    assert first != third
    assert len(set(first)) == 5


def test_a_swap_reaches_whoever_holds_the_function_and_ends_with_its_fork() -> None:
    source = "def f(a):\n    return a + 1\n"
    (original,) = functions_of(ast.parse(source), "swapped.py").values()
    held = [FunctionType(original, {})]
    (mutant,) = [one for one in mutants_of("swapped.py", source) if "a + 1`" in one.text]
    code = mutated_code(mutant, source, "swapped.py")
    assert code is not None

    def run(tell: Callable[[bytes], None]) -> int:
        assert swap_code("swapped.py", code) == 1
        tell(str(held[0](5)).encode())
        return SURVIVED

    assert in_a_fork(run) == (SURVIVED, b"4")
    assert held[0](5) == 6


ENDLESS: Final = """
import pytest
from counted import first_of

def test_the_first_is_found():
    assert first_of([3, 4, 5]) == 3

def test_a_list_is_left_alone():
    assert sorted([2, 1]) == [1, 2]
"""
COUNTED: Final = """
def first_of(items):
    at = 0
    while at < 1:
        at += 1
    return items[at - 1]

def never_reached(items):
    return items[0]
"""


PROGRAM: Final = """
import json, sys
from pathlib import Path
from types import FunctionType
import pytest
from tests.mutation import kill_suite
from tests.mutation.operators import mutants_of, mutated_code

kill_suite.TEST_S_MIN = 1
folder, fates = Path(sys.argv[1]), {}
path = folder / "counted.py"
source = path.read_text()

def work(suite):
    suite.measure(["."])
    for mutant in mutants_of("counted.py", source):
        verdict = suite.judge(mutant, mutated_code(mutant, source, str(path)))
        fates[mutant.text] = [verdict.killed_by, verdict.tests]

arguments = [str(folder), "-qq", "-s", "-p", "no:cacheprovider", "-c", str(folder / "pytest.ini")]
pytest.main(arguments, plugins=[kill_suite.KillSuite(folder, work, mutant_s_max=9)])
print(json.dumps(fates))
"""


def test_a_mutant_is_killed_by_a_wrong_answer_or_a_loop_without_end_and_else_survives(
    tmp_path: Path,
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    (tmp_path / "counted.py").write_text(COUNTED)
    (tmp_path / "test_counted.py").write_text(ENDLESS)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=120,
    )
    fates = json.loads(done.stdout.splitlines()[-1])
    killer = "test_counted.py::test_the_first_is_found"
    assert fates["`at < 1` -> `at <= 1`"] == [killer, 1]  # the second item
    assert fates["`at += 1` -> `at -= 1`"] == [killer, 1]  # never ends
    assert fates["`0` -> `1`"] == [None, 0]  # nobody reaches it


def test_every_mutant_that_is_listed_as_equivalent_exists_and_has_a_reason() -> None:
    listed = read_equivalent((ROOT / "tests/mutation/equivalent.txt").read_text(encoding="utf-8"))
    names = {
        mutant.name
        for path in modules_of("query")
        for mutant in mutants_of(path, (ROOT / path).read_text(encoding="utf-8"))
    }
    assert listed.keys() <= names
    assert all(reason.endswith(".") for reason in listed.values())


def test_floors_and_suites_name_what_there_is() -> None:
    executor, compiler, query = (set(modules_of(floor)) for floor in FLOORS)
    assert {"ormdb/query/execute.py", "ormdb/query/roots.py"} <= executor <= query
    assert {"ormdb/query/compile.py", "ormdb/query/rules.py"} <= compiler <= query
    assert not executor & compiler
    for suite in SUITES:
        assert (ROOT / suite).exists(), suite
    for path in query:
        ast.parse((ROOT / path).read_text(encoding="utf-8"))
