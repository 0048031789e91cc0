"""How the demo prints: the program text of a query, a shortened tree of its answer, its cost."""

from __future__ import annotations

import datetime
import inspect
import time
from collections.abc import Callable, Sequence
from typing import Final, cast

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from examples.flights.source import Row
from ormdb.ir.result import FetchStatistics

ROOTS_SHOWN: Final = 2
CHILDREN_SHOWN: Final = 2
FIELDS_SHOWN: Final = 5


def make_console() -> Console:
    """A console that is never too narrow for the trees."""
    console = Console(highlight=False)
    if console.width < 100:
        console = Console(highlight=False, width=100)
    return console


def make_progress(console: Console) -> Progress:
    """A bar with rate, for loads."""
    return Progress(
        TextColumn("{task.description:>9}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[rate]}"),
        console=console,
    )


def show_rate(progress: Progress, table: str, count: int) -> Callable[[int, int | None], None]:
    """A bar for one table; what it returns is told how many rows are done."""
    task = progress.add_task(table, total=count, rate="")
    began = time.perf_counter()

    def advance(done: int, _all: int | None) -> None:
        rate = done / (time.perf_counter() - began)
        progress.update(task, completed=done, rate=f"{rate:,.0f} rows/s")

    return advance


def show_program(console: Console, title: str, function: Callable[[], object]) -> None:
    """A heading and the lines that make the query."""
    console.rule(f"[bold]{title}", align="left")
    lines = inspect.getsource(function).splitlines()
    doc_ends = next(number for number, line in enumerate(lines) if line.endswith('"""'))
    body = "\n".join(line.removeprefix("    ") for line in lines[doc_ends + 1 :])
    console.print(Syntax(body, "python", background_color="default", word_wrap=True))


def show_rows(console: Console, rows: Sequence[Row]) -> None:
    """The first rows of an answer as a tree, and how many more there are."""
    tree = Tree(f"[bold]{len(rows)} rows", guide_style="dim")
    for row in rows[:ROOTS_SHOWN]:
        _add_row(tree, row)
    _add_rest(tree, len(rows) - ROOTS_SHOWN)
    console.print(tree)


def show_cost(console: Console, statistics: FetchStatistics) -> None:
    """What one fetch read, in one line."""
    parts = {
        "rows": f"{statistics.rows:,}",
        "edges": f"{statistics.edges:,}",
        "internal queries": f"{statistics.engine_calls:,}",
        "keys read": f"{statistics.keys_read:,}",
        "time": f"{statistics.seconds * 1e3:,.1f} ms",
    }
    line = Text("   ").join(Text(f"{name} ") + Text(value, "bold") for name, value in parts.items())
    console.print(line, "\n")


def show_error(console: Console, error: Exception) -> None:
    """The sentence of an error."""
    console.print(Panel(str(error), title=type(error).__name__, border_style="red"), "")


def show_comparison(console: Console, lines: Sequence[tuple[str, float]], verdict: str) -> None:
    """Times side by side."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    for name, seconds in lines:
        table.add_row(name, f"[bold]{seconds * 1e3:,.1f} ms")
    console.print(table, verdict, "")


def _add_row(tree: Tree, row: Row) -> None:
    fields = [(name, value) for name, value in row.items() if not isinstance(value, list | dict)]
    shown = [f"[dim]{name}[/] {_short(value)}" for name, value in fields[:FIELDS_SHOWN]]
    more = f" [dim]+{len(fields) - FIELDS_SHOWN} fields[/]" if len(fields) > FIELDS_SHOWN else ""
    branch = tree.add("  ".join(shown) + more)
    for name, value in row.items():
        if isinstance(value, list):
            children = cast("list[Row]", value)
            many = branch.add(f"[cyan]{name}[/] [dim]({len(children)})[/]")
            for child in children[:CHILDREN_SHOWN]:
                _add_row(many, child)
            _add_rest(many, len(children) - CHILDREN_SHOWN)
        elif isinstance(value, dict):
            one = cast("Row", value)
            _add_row(branch.add(f"[cyan]{name}[/]"), one)


def _add_rest(tree: Tree, count: int) -> None:
    if count > 0:
        tree.add(f"[dim]… {count:,} more")


def _short(value: object) -> str:
    if isinstance(value, datetime.datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return "[dim]NULL[/]" if value is None else str(value)
