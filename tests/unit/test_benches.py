"""The benchmarks compare every answer before they time it, and count as they say they do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from benches import data
from benches.by_sqlite import BySqlite
from benches.cases import BULK, CASES, SIZE
from benches.compare import DifferentAnswerError, differences, require_equal
from benches.data import Row, Sizes
from benches.figures import (
    figure_of_amounts,
    figure_of_rates,
    figure_of_times,
    percentile,
    with_ratios,
)
from benches.machine import describe_machine
from benches.measure import Outcome, Plan, Watcher, measure
from benches.report import FORMAT, as_json, as_page
from benches.roster import ROSTER, Entry, split_by_presence
from benches.seat import Seat, WorkerError
from benches.show import make_console, our_table, overview_table
from benches.tables import TABLES

SMALL = Sizes(
    customers=40,
    orders_per_customer=3,
    lines_per_order=2,
    movies=20,
    roles_per_movie=4,
    reviews_per_movie=5,
    people=60,
    products=20,
    sales=500,
    visits=300,
    pages=20,
)
PLAN = Plan(
    sizes=SMALL,
    case_seconds=0.0,
    turns_min=1,
    turns_max=2,
    turn_seconds=0.05,
    first_rounds=1,
    bulk_rounds=1,
)
OURS, COLD, SQLITE = ROSTER[:3]
NAMES = {"ormdb", "ormdb cold", "sqlite3"}


class Forgetful(BySqlite):
    """Leaves out the last line of the last order."""

    def customers(self, after: str, count: int) -> list[Row]:
        found = super().customers(after, count)
        found[-1]["orders"][-1]["lines"].pop()
        return found


class Careless(BySqlite):
    """Loads other amounts than it was given."""

    def get_sale(self, identity: int) -> Row | None:
        sale = super().get_sale(identity)
        assert sale is not None
        return {**sale, "amount": sale["amount"] + 0.01}


class Choosy(BySqlite):
    """Lacks a case."""

    lacks: ClassVar[Mapping[str, str]] = {"point graph": "it follows one relation only"}


def enter(kind: type[BySqlite]) -> Entry:
    return Entry(name=kind.__name__.lower(), place=f"{__name__}:{kind.__name__}")


def plan_for(only: str) -> Plan:
    return Plan(
        sizes=SMALL,
        case_seconds=0.0,
        turns_min=1,
        turns_max=1,
        turn_seconds=0.01,
        first_rounds=1,
        bulk_rounds=1,
        only=only,
    )


# --- comparing --------------------------------------------------------------------------------


WANTED: object = [{"a": 1, "of": [{"b": 2.0}]}]
EMPTY: list[object] = []
OTHERS: list[tuple[object, str]] = [
    ([{"a": 1, "of": EMPTY}], "[0].of has 0 rows instead of 1"),
    ([{"a": True, "of": [{"b": 2.0}]}], "[0].a is True instead of 1"),
    ([{"a": 1, "of": [{"b": 2}]}], "[0].of[0].b is 2 instead of 2.0"),
    ([{"a": 1, "of": [{"c": 2.0}]}], "[0].of[0] has no 'b'"),
    ([{"a": 1, "of": [{"b": 2.0, "c": None}]}], "[0].of[0] has 'c' besides"),
    ([{"a": 1, "of": None}], "[0].of is None instead of [{'b': 2.0}]"),
    (None, "the answer is None instead of [{'a': 1, 'of': [{'b': 2.0}]}]"),
]


@pytest.mark.parametrize(("found", "sentence"), OTHERS)
def test_a_comparison_says_where_answers_differ(found: object, sentence: str) -> None:
    assert next(differences(WANTED, found)) == sentence


def test_equal_answers_differ_nowhere() -> None:
    assert not list(differences(WANTED, [{"of": [{"b": 2.0}], "a": 1}]))


def test_the_order_of_rows_counts() -> None:
    with pytest.raises(DifferentAnswerError, match=r"x answers the page otherwise: \[0\] is 2"):
        require_equal("x", "the page", wanted=[1, 2], found=[2, 1])


def test_a_contestant_that_forgets_one_row_is_caught(tmp_path: Path) -> None:
    with pytest.raises(DifferentAnswerError, match=r"forgetful answers page graph .*lines has 1 r"):
        measure([SQLITE, enter(Forgetful)], plan_for("page graph"), tmp_path, Watcher())


def test_a_contestant_that_loads_other_rows_is_caught(tmp_path: Path) -> None:
    with pytest.raises(DifferentAnswerError, match=r"careless answers bulk load .*amount is"):
        measure([SQLITE, enter(Careless)], plan_for(BULK), tmp_path, Watcher())


# --- statistics -------------------------------------------------------------------------------


def test_percentiles_lie_between_the_samples() -> None:
    samples = [5.0, 1.0, 3.0, 2.0, 4.0]
    assert percentile(samples, 0.5) == 3.0
    assert percentile(samples, 0.95) == pytest.approx(4.8)
    assert percentile(samples, 1.0) == 5.0
    assert percentile([7.0], 0.99) == 7.0


def test_times_are_shown_in_the_unit_of_their_case() -> None:
    figure = figure_of_times("page graph", "ormdb", "ms", [0.001, 0.003])
    assert figure.p50 == pytest.approx(2.0)
    assert (figure.samples, figure.unit) == (2, "ms")


def test_beside_another_more_is_better_for_times_rates_and_sizes() -> None:
    times = [figure_of_times("c", name, "ms", [s]) for name, s in (("a", 0.2), ("b", 0.1))]
    rates = [figure_of_rates("c", name, "rows/s", [r]) for name, r in (("a", 5.0), ("b", 10.0))]
    sizes = [figure_of_amounts("c", name, "MB", [m]) for name, m in (("a", 8.0), ("b", 4.0))]
    for figures in (times, rates, sizes):
        a, b = with_ratios(figures, reference="b")
        assert a.beside_reference == pytest.approx(0.5)
        assert a.beside_best == pytest.approx(0.5)
        assert (b.beside_reference, b.beside_best) == (1.0, 1.0)


def test_the_slow_end_of_rates_is_the_low_one() -> None:
    figure = figure_of_rates("c", "a", "rows/s", [10.0, 20.0, 30.0])
    assert figure.p99 < figure.p95 < figure.p50 < figure.best


def test_without_the_reference_there_is_no_ratio_to_it() -> None:
    (figure,) = with_ratios([figure_of_times("c", "a", "ms", [0.2])], reference="b")
    assert (figure.beside_reference, figure.beside_best) == (None, 1.0)


# --- whole runs -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return measure([OURS, COLD, SQLITE], PLAN, tmp_path_factory.mktemp("benches"), Watcher())


def test_a_run_has_a_figure_of_every_case_and_contestant(outcome: Outcome) -> None:
    found = {(figure.case, figure.contestant) for figure in outcome.figures}
    cases = [*(case.name for case in CASES), BULK, SIZE]
    assert found == {(case, name) for case in cases for name in NAMES}
    assert len(outcome.figures) == len(found)
    assert all(0 < figure.best <= figure.p50 <= figure.p99 for figure in figures_of_times(outcome))


def figures_of_times(outcome: Outcome) -> list[Any]:
    return [figure for figure in outcome.figures if not figure.more_is_better]


def test_reads_have_a_first_call_and_ours_a_cost(outcome: Outcome) -> None:
    by_name = {figure.case: figure for figure in outcome.figures if figure.contestant == "ormdb"}
    page = by_name["page graph"]
    assert page.engine_calls == 3
    assert page.keys_read is not None
    assert page.keys_read > 20 * (1 + 3 + 6)  # half the customers, their orders and lines
    for case in CASES:
        assert (by_name[case.name].first_p50 is None) == (case.read_back is not None)


def test_memory_and_files_are_told_for_each_contestant(outcome: Outcome) -> None:
    assert set(outcome.memory_bytes) == set(outcome.disk_bytes) == NAMES
    assert min(outcome.memory_bytes.values()) > 1_000_000
    assert min(outcome.disk_bytes.values()) > 10_000


def test_the_report_is_json_with_a_version_and_without_places(outcome: Outcome) -> None:
    machine = describe_machine([])
    text = json.dumps(as_json(outcome, PLAN, machine, "wall"))
    report = json.loads(text)
    assert report["format"] == FORMAT
    assert len(report["figures"]) == len(outcome.figures)
    assert {"cpus", "processor", "python", "packages"} <= set(report["machine"])
    assert str(Path.cwd()) not in text


def test_the_page_and_the_tables_show_every_case(outcome: Outcome) -> None:
    page = as_page(outcome, PLAN, describe_machine([]), plot="RESULTS.svg")
    console = make_console()
    with console.capture() as shown:
        console.print(overview_table(outcome, "wall"), our_table(outcome))
    for case in [*(case.name for case in CASES), BULK, SIZE]:
        assert f"### {case}\n" in page
        assert case in shown.get()
    assert "](RESULTS.svg)" in page


def test_the_page_of_a_busy_machine_says_so(outcome: Outcome) -> None:
    machine = {**describe_machine([]), "cpus": 2}
    busy, idle = (
        as_page(outcome, PLAN, {**machine, "load": load}, plot=None) for load in (3.0, 0.1)
    )
    assert "**The machine was busy.**" in busy
    assert "**The machine was busy.**" not in idle


def test_a_case_that_a_contestant_lacks_is_left_out_with_its_reason(tmp_path: Path) -> None:
    choosy = enter(Choosy)
    outcome = measure([SQLITE, choosy], plan_for("graph"), tmp_path, Watcher())
    mine = {figure.case for figure in outcome.figures if figure.contestant == "choosy"}
    assert mine == {"page graph", "big graph", "insert a graph, durable"}
    page = as_page(outcome, PLAN, describe_machine([]), plot=None)
    assert "choosy lacks *point graph*: it follows one relation only.\n" in page
    assert "| point graph | ms |" in page


# --- who takes part, and with what ------------------------------------------------------------


def test_contestants_without_their_package_are_left_out() -> None:
    gone = Entry(name="gone", place="benches.by_gone:ByGone", package="no_such_package_anywhere")
    assert split_by_presence([OURS, gone, SQLITE]) == ([OURS, SQLITE], [gone])


def test_a_worker_that_fails_says_why(tmp_path: Path) -> None:
    with (
        Seat("sqlite3", SQLITE.place, tmp_path, SMALL) as seat,
        pytest.raises(WorkerError, match=r"sqlite3 failed at answer (?s:.)*no such case"),
    ):
        seat.ask("answer", case="no such case", number=0)


def test_the_same_call_has_the_same_arguments_wherever_it_is_made() -> None:
    for case in CASES:
        assert case.arguments_of(SMALL, 7) == case.arguments_of(SMALL, 7)


def test_rows_have_the_columns_of_their_table() -> None:
    for name, table in TABLES.items():
        rows = data.rows_of(name, SMALL)
        assert rows
        assert all(list(row) == list(table.columns) for row in rows)
