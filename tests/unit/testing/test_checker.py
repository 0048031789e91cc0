"""Every anomaly has a history by hand in which it is found, and sound histories have none.

T0: append x 1 | append x 2      what T0 did, operation by operation
0..3                             when it began and ended
"""

from __future__ import annotations

import random
from typing import Any, Final

import pytest

from ormdb.testing.checker import check_history
from ormdb.testing.history import History, Kind, Operation, Outcome, Transaction
from ormdb.testing.scheduler import run_plan
from tests.unit.testing.simulated import FAULTS, draw_plan, simulated

NOBODY: Final[frozenset[int]] = frozenset()


def transaction(
    *operations: tuple[Kind, Any, Any], at: tuple[int, int] = (0, 100), end: Outcome = "committed"
) -> Transaction:
    made = Transaction(number=0, process=0, began=at[0], ended=at[1], outcome=end)
    made.operations = [Operation(*operation) for operation in operations]
    return made


def history(*transactions: Transaction) -> History:
    for number, each in enumerate(transactions):
        each.number = number
    return History(list(transactions))


def anomalies(*transactions: Transaction, **options: Any) -> list[str]:
    return [found.anomaly for found in check_history(history(*transactions), **options)]


def test_transactions_that_saw_each_other_in_one_order_have_no_finding() -> None:
    assert not anomalies(
        transaction(("append", "x", 1), ("write", "r", "a"), ("add", "s", 1)),
        transaction(("read_list", "x", (1,)), ("append", "x", 2), ("read", "r", "a")),
        transaction(("read_list", "x", (1, 2)), ("members", "s", frozenset({1}))),
        transaction(("read_list", "x", ()), ("read", "r", None), ("members", "s", NOBODY)),
        transaction(("total", "bank", (60, 40))),
        transaction(("total", "bank", (70, 30))),
    )


def test_what_was_undone_and_not_seen_has_no_finding() -> None:
    assert not anomalies(
        transaction(("append", "x", 1), ("write", "r", 1), ("add", "s", 1), end="aborted"),
        transaction(("read_list", "x", ()), ("read", "r", None), ("members", "s", NOBODY)),
    )


@pytest.mark.parametrize(
    ("write", "read"),
    [
        (("append", "x", 1), ("read_list", "x", (1,))),
        (("write", "x", 1), ("read", "x", 1)),
        (("add", "x", 1), ("members", "x", frozenset({1}))),
    ],
)
def test_a_read_of_what_was_aborted_is_g1a(write: Any, read: Any) -> None:
    assert anomalies(transaction(write, end="aborted"), transaction(read)) == ["G1a"]


@pytest.mark.parametrize(
    ("writes", "read"),
    [
        ([("append", "x", 1), ("append", "x", 2)], ("read_list", "x", (1,))),
        ([("write", "x", 1), ("write", "x", 2)], ("read", "x", 1)),
        ([("add", "x", 1), ("remove", "x", 1)], ("members", "x", frozenset({1}))),
    ],
)
def test_a_read_of_what_was_written_over_in_its_transaction_is_g1b(writes: Any, read: Any) -> None:
    found = anomalies(transaction(*writes), transaction(read), transaction(("read_list", "y", ())))
    assert "G1b" in found


@pytest.mark.parametrize(
    "read", [("read_list", "x", (1,)), ("read", "x", 1), ("members", "x", frozenset({1}))]
)
def test_a_read_of_what_nobody_wrote_is_garbage(read: Any) -> None:
    assert anomalies(transaction(read)) == ["garbage"]


def test_lists_of_which_neither_begins_with_the_other_are_an_incompatible_order() -> None:
    assert "incompatible order" in anomalies(
        transaction(("append", "x", 1)),
        transaction(("append", "x", 2)),
        transaction(("read_list", "x", (1, 2))),
        transaction(("read_list", "x", (2,))),
    )


@pytest.mark.parametrize(
    "transactions",
    [
        [transaction(("append", "x", 1)), transaction(("append", "x", 1))],
        [transaction(("append", "x", 1)), transaction(("read_list", "x", (1, 1)))],
        [transaction(("write", "x", 1)), transaction(("write", "x", 1))],
        [transaction(("add", "x", 1)), transaction(("add", "x", 1))],
    ],
)
def test_a_value_that_is_there_twice_is_a_duplicate(transactions: list[Transaction]) -> None:
    assert "duplicate" in anomalies(*transactions)


@pytest.mark.parametrize(
    "operations",
    [
        [("append", "x", 1), ("read_list", "x", ())],
        [("read_list", "x", ()), ("append", "x", 1), ("read_list", "x", ())],
        [("write", "x", 1), ("read", "x", None)],
        [("add", "x", 1), ("members", "x", NOBODY)],
    ],
)
def test_a_transaction_that_does_not_see_its_own_writes_is_internal(operations: Any) -> None:
    assert anomalies(transaction(*operations)) == ["internal"]


def test_two_that_wrote_before_each_other_are_g0() -> None:
    assert anomalies(
        transaction(("append", "x", 1), ("append", "y", 1)),
        transaction(("append", "x", 2), ("append", "y", 2)),
        transaction(("read_list", "x", (1, 2)), ("read_list", "y", (2, 1))),
    ) == ["G0"]


def test_two_that_saw_each_other_are_g1c() -> None:
    assert anomalies(
        transaction(("append", "x", 1), ("read_list", "y", (1,))),
        transaction(("append", "y", 1), ("read_list", "x", (1,))),
    ) == ["G1c"]


def test_two_that_saw_each_others_registers_are_g1c() -> None:
    assert anomalies(
        transaction(("write", "x", 1), ("read", "y", 2)),
        transaction(("write", "y", 2), ("read", "x", 1)),
    ) == ["G1c"]


@pytest.mark.parametrize(("read", "write"), [("read_list", "append"), ("read", "write")])
def test_two_that_read_the_same_and_both_wrote_it_are_a_lost_update(read: Any, write: Any) -> None:
    nothing = () if read == "read_list" else None
    transactions = [
        transaction((read, "x", nothing), (write, "x", 1)),
        transaction((read, "x", nothing), (write, "x", 2)),
    ]
    if read == "read_list":
        transactions.append(transaction(("read_list", "x", (1, 2))))
    assert anomalies(*transactions) == ["lost update"]


def test_two_that_made_the_same_value_of_the_same_are_a_lost_update() -> None:
    """As a counter of rows goes, where the value that is written is not unique."""
    assert "lost update" in anomalies(
        transaction(("read", "count", None), ("write", "count", 1)),
        transaction(("read", "count", None), ("write", "count", 1)),
    )


def test_a_read_from_two_states_at_once_is_g_single() -> None:
    assert anomalies(
        transaction(("append", "x", 1), ("append", "y", 1)),
        transaction(("read_list", "x", (1,)), ("read_list", "y", ())),
    ) == ["G-single"]


def test_a_set_that_was_read_from_two_states_at_once_is_g_single() -> None:
    assert anomalies(
        transaction(("add", "x", 1), ("add", "y", 1)),
        transaction(("members", "x", frozenset({1})), ("members", "y", NOBODY)),
    ) == ["G-single"]


def test_two_that_did_not_see_what_the_other_wrote_are_g2_item() -> None:
    assert anomalies(
        transaction(("read_list", "x", ()), ("append", "y", 1)),
        transaction(("read_list", "y", ()), ("append", "x", 1)),
        transaction(("read_list", "x", (1,)), ("read_list", "y", (1,))),
    ) == ["G2-item"]


def test_two_that_did_not_see_what_the_other_added_to_a_set_are_g2() -> None:
    assert anomalies(
        transaction(("members", "x", NOBODY), ("add", "y", 1)),
        transaction(("members", "y", NOBODY), ("add", "x", 1)),
    ) == ["G2"]


def test_two_that_did_not_see_what_the_other_removed_from_a_set_are_g2() -> None:
    both = [("members", "x", frozenset({1})), ("members", "y", frozenset({2}))]
    assert anomalies(
        transaction(("add", "x", 1), ("add", "y", 2), at=(0, 1)),
        transaction(*both, ("remove", "x", 1), at=(2, 10)),  # type: ignore[arg-type]
        transaction(*both, ("remove", "y", 2), at=(3, 11)),  # type: ignore[arg-type]
    ) == ["G2"]


def test_readers_who_saw_two_writes_in_different_orders_are_a_long_fork() -> None:
    assert anomalies(
        transaction(("write", "x", 1)),
        transaction(("write", "y", 2)),
        transaction(("read", "x", 1), ("read", "y", None)),
        transaction(("read", "x", None), ("read", "y", 2)),
    ) == ["long fork"]


def test_amounts_that_do_not_add_up_are_no_constant_sum() -> None:
    assert anomalies(transaction(("total", "bank", (60, 30))), totals={"bank": 100}) == [
        "constant sum"
    ]


def test_a_read_of_what_had_been_replaced_before_it_began_contradicts_the_clock() -> None:
    transactions = [
        transaction(("append", "x", 1), at=(0, 1)),
        transaction(("append", "x", 2), at=(2, 3)),
        transaction(("read_list", "x", (1,)), at=(4, 5)),
        transaction(("read_list", "x", (1, 2)), at=(6, 7)),
    ]
    assert anomalies(*transactions) == ["G-single-realtime"]
    assert not anomalies(*transactions, real_time=False)


def test_a_write_that_nobody_ever_sees_is_lost() -> None:
    assert anomalies(
        transaction(("append", "x", 1), at=(0, 1)),
        transaction(("read_list", "x", ()), at=(4, 5)),
    ) == ["G-single-realtime"]


def test_a_removal_that_left_the_element_is_lost() -> None:
    assert anomalies(
        transaction(("add", "x", 1), at=(0, 1)),
        transaction(("remove", "x", 1), at=(2, 3)),
        transaction(("members", "x", frozenset({1})), at=(4, 5)),
    ) == ["G-single-realtime"]


def test_a_read_of_what_was_written_later_by_the_clock_contradicts_it() -> None:
    assert anomalies(
        transaction(("read", "x", 1), at=(0, 1)),
        transaction(("write", "x", 1), at=(2, 3)),
    ) == ["G1c-realtime"]


def test_an_absent_element_that_is_removed_at_the_same_time_leaves_the_choice() -> None:
    """The reader may have come before the addition or after the removal."""
    assert not anomalies(
        transaction(("add", "x", 1), at=(0, 9)),
        transaction(("members", "x", NOBODY), at=(1, 9)),
        transaction(("members", "x", frozenset({1})), ("remove", "x", 1), at=(1, 9)),
    )


def test_what_an_unknown_transaction_wrote_may_be_seen_or_not() -> None:
    unknown = transaction(("append", "x", 1), ("append", "y", 1), end="unknown", at=(0, 100))
    assert not anomalies(unknown, transaction(("read_list", "x", ())))
    assert not anomalies(unknown, transaction(("read_list", "x", (1,))))
    assert anomalies(
        unknown,
        transaction(("read_list", "x", (1,)), at=(1, 2)),
        transaction(("read_list", "y", ()), at=(3, 4)),
    )


@pytest.mark.parametrize(
    ("write", "other", "saw", "missed"),
    [
        (("append", "x", 1), ("append", "y", 1), ("read_list", "x", (1,)), ("read_list", "y", ())),
        (("write", "x", 1), ("write", "y", 1), ("read", "x", 1), ("read", "y", None)),
        (
            ("add", "x", 1),
            ("add", "y", 1),
            ("members", "x", frozenset({1})),
            ("members", "y", NOBODY),
        ),
    ],
)
def test_what_an_aborted_transaction_saw_is_explained_if_that_is_asked(
    write: Any, other: Any, saw: Any, missed: Any
) -> None:
    transactions = [transaction(write, other), transaction(saw, missed, end="aborted")]
    assert anomalies(*transactions, aborted_reads=True) == ["G-single"]
    assert not anomalies(*transactions)


def test_what_an_aborted_transaction_wrote_itself_explains_what_it_saw() -> None:
    assert not anomalies(
        transaction(
            ("append", "x", 1),
            ("append", "x", 2),
            ("read_list", "x", (1, 2)),
            ("write", "r", 1),
            ("read", "r", 1),
            ("add", "s", 1),
            ("members", "s", frozenset({1})),
            end="aborted",
        ),
        transaction(("read_list", "x", ()), ("read", "r", None), ("members", "s", NOBODY)),
        aborted_reads=True,
    )


def test_a_finding_names_the_anomaly_the_transactions_and_the_keys() -> None:
    (found,) = check_history(
        history(
            transaction(("read_list", "x", ()), ("append", "y", 1)),
            transaction(("read_list", "y", ()), ("append", "x", 1)),
            transaction(("read_list", "x", (1,)), ("read_list", "y", (1,))),
        )
    )
    assert str(found) == (
        "G2-item of T0, T1 in 'x', 'y': T0 did not see what T1 wrote to 'x', "
        "T1 did not see what T0 wrote to 'y'; so T0 would have to come before itself"
    )
    assert found.transactions == (0, 1)
    assert found.keys == ("x", "y")


@pytest.mark.parametrize("seed", range(20))
def test_generated_histories_of_a_correct_engine_have_no_finding(seed: int) -> None:
    with simulated(None, seed)() as stage:
        run = run_plan(stage, draw_plan(random.Random(seed)), chance=random.Random(seed))
    assert not run.findings, str(run.findings[0])
    assert run.history.committed() > 50


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_an_engine_is_found_within_8000_transactions(fault: str) -> None:
    seen = 0
    while seen < 8_000:
        with simulated(fault, seen)() as stage:
            run = run_plan(stage, draw_plan(random.Random(seen)), chance=random.Random(seen))
        seen += len(run.history)
        if run.findings:
            return
    pytest.fail(f"{fault} was not found in {seen} transactions")


def test_a_knot_of_thousands_of_transactions_is_told_by_short_cycles() -> None:
    with simulated("no check", 1)() as stage:
        plan = draw_plan(random.Random(1), 3_000)
        run = run_plan(stage, plan, chance=random.Random(1), together=16)
    assert run.findings
    assert all(len(found.cycle) <= 6 for found in run.findings)
