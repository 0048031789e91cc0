"""`python -m benches`: ormdb beside hand-written sqlite3, as a table and as JSON.

--quick          a tenth of the rows, fewer rounds: to see that it runs
--only page      tasks whose name contains the word: shop (page and get) or bulk
--out FILE       where the JSON goes; .bench/latest.json unless given
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benches.by_ormdb import ByOrmdb
from benches.by_sqlite import BySqlite
from benches.contestant import Contestant
from benches.data import Sizes
from benches.measure import CPU_CLOCK, Figure, load_once, measure_bulk, measure_shop

CONTESTANTS: dict[str, type[Contestant]] = {"sqlite3": BySqlite, "ormdb": ByOrmdb}
QUICK = Sizes(customers=200, sales=30_000)
# What is aimed at, as speed beside sqlite3, or for sizes as the most times its bytes.
GOALS = {
    "50-root page, 3 levels": 0.7,
    "get by identity": 0.4,
    "bulk load, rows of 12 fields": 0.5,
    "size, compacted": 1.8,
}


def main() -> None:
    """Measure what the arguments ask for."""
    arguments = _parse_arguments()
    if arguments.child is not None:
        name, sizes = arguments.child
        done = load_once(CONTESTANTS[name](), Sizes(**json.loads(sizes)))
        sys.stdout.write(json.dumps(asdict(done)))
        return
    if arguments.cpu:
        os.environ[CPU_CLOCK] = "yes"  # children count by it too
    sizes = QUICK if arguments.quick else Sizes()
    figures: list[Figure] = []
    if arguments.only in {None, "shop"}:
        contestants = [kind() for kind in CONTESTANTS.values()]
        figures += measure_shop(contestants, sizes, rounds=20 if arguments.quick else 100)
    if arguments.only in {None, "bulk"}:
        figures += measure_bulk(list(CONTESTANTS), sizes, rounds=1 if arguments.quick else 3)
    Console(width=max(120, Console().width)).print(_table(figures))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(_report(figures, sizes), indent=2) + "\n", encoding="utf-8")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=["shop", "bulk"])
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(".bench/latest.json"))
    parser.add_argument("--child", nargs=2, metavar=("NAME", "SIZES"), help=argparse.SUPPRESS)
    return parser.parse_args()


def _table(figures: Sequence[Figure]) -> Table:
    clock = ", processor time" if CPU_CLOCK in os.environ else ""
    table = Table(title=f"ormdb beside hand-written sqlite3{clock}", title_justify="left")
    table.add_column("task")
    table.add_column("unit")
    for name in CONTESTANTS:
        table.add_column(f"{name} p50", justify="right")
        table.add_column("p95", justify="right", style="dim")
    table.add_column("beside sqlite3", justify="right")
    table.add_column("aim", justify="right", style="dim")
    for task in dict.fromkeys(figure.task for figure in figures):
        by_name = {figure.contestant: figure for figure in figures if figure.task == task}
        cells = [
            cell
            for name in CONTESTANTS
            for cell in (_short(by_name[name].p50), _short(by_name[name].p95))
        ]
        goal = f"{GOALS[task]}×" if task in GOALS else ""
        table.add_row(task, by_name["ormdb"].unit, *cells, f"{_ratio(by_name):.2f}×", goal)
    return table


def _ratio(by_name: dict[str, Figure]) -> float:
    """Speed beside sqlite3, where more is better; for a size, how many times its bytes."""
    ours, theirs = by_name["ormdb"], by_name["sqlite3"]
    if ours.more_is_better or ours.unit == "MB":
        return ours.p50 / theirs.p50
    return theirs.p50 / ours.p50


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:,.2f}"


def _report(figures: Sequence[Figure], sizes: Sizes) -> dict[str, object]:
    return {
        "clock": "processor" if CPU_CLOCK in os.environ else "wall",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "lmdb": importlib.metadata.version("lmdb"),
        "msgspec": importlib.metadata.version("msgspec"),
        "sizes": asdict(sizes),
        "figures": [asdict(figure) for figure in figures],
    }


if __name__ == "__main__":
    main()
