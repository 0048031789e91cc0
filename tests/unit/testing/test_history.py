"""A history is written down as it happens, and can be saved and loaded."""

from __future__ import annotations

import pytest

from ormdb.errors import UsageError
from ormdb.testing.history import History, Recorder, Ticks


def recorded() -> Recorder:
    recorder = Recorder(Ticks())
    first = recorder.begin(process=1)
    first.append("x", 1)
    first.read_list(("board", 2), [1, 2])
    first.add("s", ("a", 1))
    first.committed()
    second = recorder.begin(process=2)
    second.members("s", [("a", 1)])
    second.write("r", "v")
    second.read("r", "v")
    second.total("bank", [1, 2])
    second.aborted()
    recorder.begin()
    return recorder


def test_a_saved_history_is_the_same_when_it_is_loaded() -> None:
    history = recorded().history()
    again = History.from_lines(history.lines())
    assert again == history
    assert str(again) == str(history)


def test_a_transaction_that_never_ended_is_unknown() -> None:
    history = recorded().history()
    assert [each.outcome for each in history.transactions] == ["committed", "aborted", "unknown"]
    assert history.committed() == 1
    assert history.transactions[2].ended > history.transactions[1].ended


def test_a_transaction_does_not_end_twice() -> None:
    record = Recorder().begin()
    record.committed()
    with pytest.raises(UsageError, match="has ended already"):
        record.aborted()


def test_nobody_writes_what_a_register_holds_in_the_beginning() -> None:
    with pytest.raises(UsageError, match="in the beginning"):
        Recorder().begin().write("r", None)


def test_joined_histories_are_in_the_order_of_the_clock() -> None:
    first, second = Recorder(Ticks()), Recorder(Ticks())
    first.begin(process=1).committed()
    second.begin(process=2).committed()
    second.begin(process=2).committed()
    joined = first.history().joined(second.history())
    assert [each.number for each in joined.transactions] == [0, 1, 2]
    assert [each.process for each in joined.transactions] == [1, 2, 2]
