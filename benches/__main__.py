"""`python -m benches`: ormdb beside others, as tables, JSON, a picture and a page.

    python -m benches                                  everything; a quarter of an hour on 2 cores
    python -m benches --quick                          a tenth of the rows: to see that it runs
    python -m benches --only graph                     cases whose name contains the word
    python -m benches --contestants ormdb,sqlite3      these alone
    python -m benches --results                        also write benches/RESULTS.md

`benches.cases` lists what is asked, `benches.roster` who is asked, `benches.measure` how.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benches.cases import BULK, CASES, SIZE
from benches.data import Sizes
from benches.machine import describe_machine
from benches.measure import Outcome, Plan, measure
from benches.plot import can_plot, write_plot
from benches.report import as_json, as_page
from benches.roster import INSTALL, OURS, REFERENCE, ROSTER, Entry, split_by_presence
from benches.show import BarWatcher, make_console, make_progress, our_table, overview_table
from benches.worker import CPU_CLOCK

FULL = Plan(
    sizes=Sizes(),
    case_seconds=12.0,
    turns_min=5,
    turns_max=200,
    turn_seconds=0.3,
    first_rounds=3,
    bulk_rounds=3,
)
QUICK = Plan(
    sizes=Sizes(customers=200, movies=200, people=1_000, sales=20_000, visits=20_000),
    case_seconds=1.0,
    turns_min=2,
    turns_max=10,
    turn_seconds=0.1,
    first_rounds=1,
    bulk_rounds=1,
)
PAGE = Path(__file__).parent / "RESULTS.md"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the arguments ask for."""
    given = _parse(arguments)
    console = make_console()
    plan = replace(QUICK if given.quick else FULL, only=given.only)
    entries = _entries(console, given.contestants)
    machine = describe_machine([entry.package for entry in entries if entry.package])
    if given.cpu:
        os.environ[CPU_CLOCK] = "yes"  # the workers count by it
    clock = "processor" if CPU_CLOCK in os.environ else "wall"
    with tempfile.TemporaryDirectory(dir=given.folder) as folder, make_progress(console) as bars:
        watcher = BarWatcher(bars)
        outcome = measure(entries, plan, Path(folder), watcher)
        watcher.end()
    console.print(overview_table(outcome, clock))
    if any(entry.name == OURS for entry in entries):
        console.print(our_table(outcome))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    report = as_json(outcome, plan, machine, clock)
    given.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    picture = _draw(console, outcome, given.out.with_suffix(".svg"))
    if given.results:
        page_picture = PAGE.with_suffix(".svg") if picture else None
        if page_picture is not None:
            write_plot(outcome, page_picture)
        name = None if page_picture is None else page_picture.name
        PAGE.write_text(as_page(outcome, plan, machine, plot=name), encoding="utf-8")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benches",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer rows, fewer turns")
    parser.add_argument("--only", metavar="WORD", help="cases whose name contains it")
    parser.add_argument("--contestants", metavar="NAMES", help="these alone, joined by commas")
    parser.add_argument("--cpu", action="store_true", help="count processor time, not time")
    parser.add_argument("--out", type=Path, default=Path(".bench/latest.json"), help="the JSON")
    parser.add_argument("--folder", type=Path, help="where the databases lie while it runs")
    parser.add_argument("--results", action="store_true", help="write benches/RESULTS.md")
    given = parser.parse_args(arguments)
    names = [*(case.name for case in CASES), BULK, SIZE]
    if given.only is not None and not any(given.only in name for name in names):
        parser.error(f"no case is called like {given.only!r}; there are {'; '.join(names)}")
    return given


def _entries(console: Console, names: str | None) -> list[Entry]:
    """Who takes part; the reference always does."""
    wanted = None if names is None else {*names.split(","), REFERENCE}
    chosen = [entry for entry in ROSTER if wanted is None or entry.name in wanted]
    if wanted is not None and (unknown := wanted - {entry.name for entry in chosen}):
        raise SystemExit(f"there is no contestant {', '.join(sorted(unknown))}")
    there, missing = split_by_presence(chosen)
    if missing:
        left_out = ", ".join(entry.name for entry in missing)
        text = f"left out, since not installed: {left_out}; install with {INSTALL}"
        console.print(text, markup=False, soft_wrap=True)
    return there


def _draw(console: Console, outcome: Outcome, path: Path) -> bool:
    if not can_plot():
        text = f"no picture, since matplotlib is not installed; install with {INSTALL}"
        console.print(text, markup=False, soft_wrap=True)
        return False
    write_plot(outcome, path)
    return True


if __name__ == "__main__":
    main()
