"""A mutation test: of a seeded sample of small mistakes in the engine, how many do the tests find?

    $ make mutants SEED=7 COUNT=150
    1,241 tests in 141 s, 1,603 mutants of 29 modules, of which 150 by seed 7
      1  killed    0.3 s  order.py:88 sorted_positions: `<` -> `<=`      test_roots.py::test_…
      2  survived  9.1 s  follow.py:131 _one_round: `return …`
    …
    killed 131 of 150, 87.3 %

Why no library does it: cosmic-ray starts an interpreter for each mutant, which takes longer than
most kills; mutmut leaves out functions with a decorator and whole statements, and both work on a
changed copy of the tree.  Here a mutant is a fork of one process that has everything imported and
collected (`kill_suite.py`), so that most of them take less than a second.

`equivalent.txt` lists mutants that cannot be told from the original, with a reason each.  They
count as survivors in the first figure, and are left out of the second.

Invariants (held by tests/unit/test_mutation.py):
  1. The same seed and the same source give the same sample.
  2. Every mutant that is listed as equivalent exists.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Final

import click
import pytest

from tests.mutation.kill_suite import KillSuite, Verdict
from tests.mutation.operators import Mutant, mutants_of, mutated_code
from tests.mutation.suites import ARGUMENTS, COMPILER_SUITES, PACKAGE, ROOT, SUITES, environment

COMPILER: Final = frozenset(
    {
        "access",
        "cache",
        "combine",
        "compile",
        "conditional",
        "constraint",
        "cost",
        "implication",
        "logical",
        "node_scope",
        "plan",
        "resolve",
        "rules",
        "shape",
        "sketch",
        "table_compile",
        "table_plan",
        "table_shape",
    }
)
ESTIMATES: Final = frozenset({"estimate", "estimate_levels", "sizes"})
WORDS: Final = frozenset({"explain", "words"})
FLOORS: Final = ("executor", "compiler", "query")
ORACLE_SEEDS: Final = "0"  # of every seeded suite
KILLED_MIN: Final = 85.0  # per cent, without what is listed as equivalent


@dataclass(frozen=True, slots=True)
class Judged:
    """A mutant of the sample, and what became of it."""

    mutant: Mutant
    verdict: Verdict
    is_equivalent: bool


def modules_of(floor: str) -> list[str]:
    """Paths of the modules of a floor; a module that no list names runs plans."""
    others = {"executor": COMPILER | ESTIMATES | WORDS, "query": frozenset[str]()}
    names = sorted(path.stem for path in (ROOT / PACKAGE).glob("*.py"))
    if floor == "compiler":
        names = [name for name in names if name in COMPILER]
    else:
        names = [name for name in names if name not in others[floor]]
    return [f"{PACKAGE}/{name}.py" for name in names]


def sample(sources: dict[str, str], seed: int, count: int) -> list[tuple[Mutant, CodeType]]:
    """A seeded choice among all mutants, each as likely as the others; those that change nothing
    in the byte code are passed over."""
    every = [mutant for path, source in sources.items() for mutant in mutants_of(path, source)]
    random.Random(seed).shuffle(every)
    chosen: list[tuple[Mutant, CodeType]] = []
    for mutant in every:
        code = mutated_code(mutant, sources[mutant.path], str(ROOT / mutant.path))
        if code is not None:
            chosen.append((mutant, code))
        if len(chosen) == count:
            break
    return chosen


def read_equivalent(text: str) -> dict[str, str]:
    """The reasons of mutants that cannot be told from the original, by their names."""
    reasons: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("    "):
            reasons[name] = f"{reasons[name]} {line.strip()}".strip()
        elif line and not line.startswith("#"):
            name = line
            reasons[name] = ""
    return reasons


def judge_all(
    suite: KillSuite, chosen: Sequence[tuple[Mutant, CodeType]], equivalent: dict[str, str]
) -> list[Judged]:
    """Show every mutant to the tests, and say at once what became of it."""
    judged: list[Judged] = []
    for number, (mutant, code) in enumerate(chosen, 1):
        verdict = suite.judge(mutant, code)
        judged.append(Judged(mutant, verdict, mutant.name in equivalent))
        fate = "survived" if verdict.killed_by is None else "killed"
        if verdict.killed_by is None and judged[-1].is_equivalent:
            fate = "equal"
        where = f"{Path(mutant.path).name}:{mutant.line} {mutant.function}"
        by = "" if verdict.killed_by is None else "  by " + verdict.killed_by.rpartition("::")[2]
        click.echo(f"{number:4} {fate:8} {verdict.seconds:5.1f} s  {where}: {mutant.text}{by}")
    return judged


def report(judged: Sequence[Judged]) -> float:
    """Print the table by module and both figures; per cent killed without the equivalent."""
    run: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    for one in judged:
        run[one.mutant.path] += 1
        killed[one.mutant.path] += one.verdict.killed_by is not None
    click.echo(f"\n{'module':32} {'mutants':>8} {'killed':>8} {'survived':>8}")
    for path in sorted(run):
        click.echo(f"{path:32} {run[path]:8} {killed[path]:8} {run[path] - killed[path]:8}")
    equal = sum(one.is_equivalent and one.verdict.killed_by is None for one in judged)
    all_killed, all_run = killed.total(), run.total()
    share = 100 * all_killed / max(1, all_run - equal)
    click.echo(
        f"\nkilled {all_killed} of {all_run}, {100 * all_killed / max(1, all_run):.1f} %;"
        f" without {equal} that are equivalent, {share:.1f} %"
    )
    return share


@click.command()
@click.option("--seed", default=0, show_default=True, help="Which sample is drawn.")
@click.option("--count", default=150, show_default=True, help="How many mutants it has.")
@click.option("--floor", type=click.Choice(FLOORS), default="executor", show_default=True)
@click.option(
    "--seconds",
    default=15.0,
    show_default=True,
    help="Processor time of its tests, at most.",
)
@click.option("--only", default="", help="Only mutants whose name contains this.")
def main(seed: int, count: int, floor: str, seconds: float, only: str) -> None:
    """Run a mutation test; it fails below 85 per cent."""
    os.environ.update(environment(ORACLE_SEEDS))
    paths = modules_of(floor)
    sources = {path: (ROOT / path).read_text(encoding="utf-8") for path in paths}
    chosen = sample(sources, seed, sys.maxsize if only else count)
    chosen = [(mutant, code) for mutant, code in chosen if only in mutant.name][:count]
    equivalent = read_equivalent(
        (Path(__file__).parent / "equivalent.txt").read_text(encoding="utf-8")
    )
    judged: list[Judged] = []

    def work(suite: KillSuite) -> None:
        took_s = suite.measure([PACKAGE])
        every = sum(len(mutants_of(path, source)) for path, source in sources.items())
        click.echo(
            f"{suite.count:,} tests in {took_s:.0f} s; {every:,} mutants of {len(paths)} modules,"
            f" of which {len(chosen)} by seed {seed}"
        )
        judged.extend(judge_all(suite, chosen, equivalent))

    began_s = time.monotonic()
    suites = SUITES if floor == "executor" else (*SUITES, *COMPILER_SUITES)
    suite = KillSuite(ROOT, work, mutant_s_max=seconds)
    code = pytest.main([*suites, *ARGUMENTS, "-s"], plugins=[suite])
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        sys.exit(int(code))
    share = report(judged)
    click.echo(f"{time.monotonic() - began_s:.0f} s")
    sys.exit(share < KILLED_MIN)


if __name__ == "__main__":
    main()
