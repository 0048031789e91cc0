"""How a run looks in a terminal: a bar that moves while it goes, two tables at the end.

case          unit    ormdb           sqlite3    django
page graph    ms      9.1  0.76×      6.9        88  0.08×
"""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benches.figures import Figure
from benches.measure import Outcome, Watcher
from benches.report import GOALS, NOTHING, cases_of, contestants_of, optional, ratio, short
from benches.roster import OURS, REFERENCE

CONSOLE_COLUMNS = 150


def make_console() -> Console:
    """A console that is wide enough for the tables."""
    console = Console(highlight=False)
    if console.width < CONSOLE_COLUMNS and not console.is_terminal:
        console = Console(highlight=False, width=CONSOLE_COLUMNS)
    return console


def make_progress(console: Console) -> Progress:
    """A bar for each stage."""
    return Progress(
        TextColumn("{task.description:>16}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}"),
        console=console,
    )


class BarWatcher(Watcher):
    """Moves the bars; where nothing can move, each step is a line."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", visible=False, what="")
        self._begun = False
        self._stage = ""

    def begin(self, stage: str, steps: int) -> None:
        self.end()
        self._stage = stage
        self._task = self._progress.add_task(stage, total=steps, what="")
        self._begun = False

    def step(self, what: str) -> None:
        self._progress.update(self._task, advance=int(self._begun), what=what)
        self._begun = True
        if not self._progress.console.is_terminal:
            self._progress.console.print(f"{self._stage}: {what}")

    def end(self) -> None:
        """The last step of a stage has ended."""
        self._progress.update(self._task, advance=int(self._begun), what="")
        self._progress.stop_task(self._task)


def overview_table(outcome: Outcome, clock: str) -> Table:
    """The medians of all, and the speed beside sqlite3."""
    names = contestants_of(outcome)
    table = Table(title=f"medians, {clock} time; speed beside sqlite3", title_justify="left")
    table.add_column("case")
    table.add_column("unit")
    for name in names:
        table.add_column(name, justify="right")
    for case in cases_of(outcome):
        found = {each.contestant: each for each in outcome.figures if each.case == case}
        cells = [_cell(found.get(name)) for name in names]
        table.add_row(case, next(iter(found.values())).unit, *cells)
    for label, amounts in (
        ("peak memory", outcome.memory_bytes),
        ("files", outcome.disk_bytes),
    ):
        if amounts:
            cells = [short(amounts[name] / 1e6) if name in amounts else NOTHING for name in names]
            table.add_row(label, "MB", *cells)
    return table


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return NOTHING
    if figure.contestant == REFERENCE or figure.beside_reference is None:
        return short(figure.p50)
    return f"{short(figure.p50)} [bold]{figure.beside_reference:.2f}×"


def our_table(outcome: Outcome) -> Table:
    """Every figure of ours."""
    table = Table(title=OURS, title_justify="left")
    table.add_column("case")
    heads = (
        "unit",
        "p50",
        "p95",
        "p99",
        "best",
        "first",
        "beside sqlite3",
        "aim",
        "beside the best",
    )
    for head in (*heads, "calls", "keys"):
        table.add_column(head, justify="right")
    for figure in outcome.figures:
        if figure.contestant == OURS:
            table.add_row(
                figure.case,
                figure.unit,
                *(short(value) for value in (figure.p50, figure.p95, figure.p99, figure.best)),
                optional(figure.first_p50),
                ratio(figure.beside_reference),
                ratio(GOALS.get(figure.case)),
                ratio(figure.beside_best),
                *(
                    NOTHING if count is None else f"{count:,}"
                    for count in (figure.engine_calls, figure.keys_read)
                ),
            )
    return table
