"""Numbers, random bytes and the time, drawn once and read again."""

from __future__ import annotations

from ormdb.clock import SystemClock
from ormdb.storage.head import read_counters
from ormdb.storage.memory import MemoryEngine
from ormdb.txn.draws import Counters, NumberSource, Player, Recorder, Tape

IDS = "sequence/1/0"
ROWS = "row/1"


def test_two_commits_beside_each_other_never_draw_one_number_twice() -> None:
    engine, source = MemoryEngine(), NumberSource()
    first = Counters(engine.begin_read(), source)
    second = Counters(engine.begin_read(), source)
    drawn = [first.take(IDS, 2), second.take(IDS, 1), first.take(IDS, 1)]
    assert drawn == [1, 3, 4]


def test_numbers_of_a_refused_statement_are_drawn_again_if_nobody_drew_since() -> None:
    engine, source = MemoryEngine(), NumberSource()
    counters = Counters(engine.begin_read(), source)
    mark = counters.mark()
    counters.take(IDS, 5)
    counters.reset(mark)
    assert counters.take(IDS, 1) == 1
    mark = counters.mark()
    counters.take(IDS, 1)
    Counters(engine.begin_read(), source).take(IDS, 1)
    counters.reset(mark)
    assert counters.take(IDS, 1) == 4


def test_counters_begin_after_what_was_committed() -> None:
    engine = MemoryEngine()
    txn = engine.begin_write()
    counters = Counters(txn, NumberSource())
    counters.take(IDS, 7)
    counters.take(ROWS, 3)
    counters.write(txn)
    txn.commit()
    read = engine.begin_read()
    assert read_counters(read, [IDS, ROWS]) == [7, 3]
    assert Counters(read, NumberSource()).take(IDS, 1) == 8


def test_row_numbers_of_a_trial_begin_where_no_row_will_be() -> None:
    counters = Counters(MemoryEngine().begin_read(), NumberSource(), rows_after=2**62)
    assert counters.take(ROWS, 1) == 2**62 + 1
    assert counters.take(IDS, 1) == 1


def test_a_tape_gives_again_what_was_drawn_and_raises_the_counters() -> None:
    engine, clock, tape = MemoryEngine(), SystemClock(), Tape(5)
    recorder = Recorder(Counters(engine.begin_read(), NumberSource()), clock, tape)
    drawn = recorder.take(IDS, 2), recorder.random_bytes(10), recorder.take(IDS, 1)
    counters = Counters(engine.begin_read(), NumberSource())
    player = Player(counters, clock, tape)
    assert (player.take(IDS, 2), player.random_bytes(10), player.take(IDS, 1)) == drawn
    assert counters.take(IDS, 1) == 4


def test_a_statement_that_draws_otherwise_than_before_gets_something_new() -> None:
    counters = Counters(MemoryEngine().begin_read(), NumberSource())
    player = Player(counters, SystemClock(), Tape(5, [3]))
    assert len(player.random_bytes(10)) == 10
    assert player.take(IDS, 1) == 1
