"""The states that a loss of power may leave: what was synced is there, the rest may be."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ormdb.testing.crash_states import SECTOR_BYTES, CrashState, crash_states
from ormdb.testing.crash_trace import Event, Mark, Resize, Sync, Write

PAGE = 4_096


def pages(*contents: bytes) -> bytes:
    return b"".join(each * PAGE for each in contents)


def contents(events: Sequence[Event], states: int = 2_000) -> set[bytes]:
    return {state.content for state in crash_states(events, states=states)}


def written(offset: int, data: bytes, *, is_durable: bool = False) -> Write:
    return Write(offset, data, is_durable)


def test_every_subset_of_what_is_pending_is_found() -> None:
    events: list[Event] = [
        written(0, pages(b"0", b"0", b"0")),
        Sync(1),
        *(written(n * PAGE, pages(b"1")) for n in range(3)),
    ]
    found = contents(events)
    for number in range(8):
        each = [b"1" if number >> bit & 1 else b"0" for bit in range(3)]
        assert pages(*each) in found


def test_what_a_sync_covered_is_in_every_later_state() -> None:
    events: list[Event] = [written(0, b"a" * 10), Mark("begin"), Sync(1), Mark("ack 3")]
    events += [written(0, b"b" * 5), written(2 * PAGE, b"c")]
    later = [s for s in crash_states(events, states=500) if s.acknowledged == 3]
    assert len(later) > 3
    for state in later:
        assert state.content[5:10] == b"a" * 5
        assert state.begun == 0


def test_a_durable_write_is_there_and_takes_no_other_with_it() -> None:
    events: list[Event] = [
        written(0, pages(b"0", b"0")),
        Sync(1),
        written(0, pages(b"1")),
        written(PAGE, b"meta", is_durable=True),
        Mark("ack 9"),
    ]
    promised = {s.content for s in crash_states(events, states=500) if s.acknowledged == 9}
    assert {content[PAGE : PAGE + 4] for content in promised} == {b"meta"}
    assert {content[:1] for content in promised} >= {b"1"}
    before = {s.content for s in crash_states(events, states=500) if not s.acknowledged}
    assert any(c[PAGE : PAGE + 4] == b"meta" and c[:1] == b"0" for c in before if len(c) > PAGE)


def test_a_sector_is_never_torn_and_pages_are() -> None:
    old, new = pages(b"0"), pages(b"1")
    found = contents([written(0, old), Sync(1), written(0, new)])
    assert found - {old, new, b""}
    for content in found:
        for at in range(0, len(content), SECTOR_BYTES):
            assert len(set(content[at : at + SECTOR_BYTES])) == 1


def test_sizes_come_too_early_and_too_late() -> None:
    found = contents([written(0, pages(b"0")), Sync(1), written(PAGE, pages(b"1")), Resize(9_000)])
    assert pages(b"0") + bytes(PAGE) in found  # the size without the bytes
    assert pages(b"0") in found
    assert {len(content) for content in found} >= {PAGE, 2 * PAGE, 9_000}


def test_no_state_is_given_twice_for_the_same_promises() -> None:
    pick = random.Random(5)
    events: list[Event] = []
    for number in range(30):
        events.append(written(pick.randrange(9) * PAGE, pages(bytes([number]))))
        if not number % 7:
            events += [Sync(len(events)), Mark(f"ack {number}")]
    drawn = list(crash_states(events, states=1_000))

    def promise(state: CrashState) -> tuple[bytes, int, int]:
        return state.content, state.acknowledged, state.begun

    assert len(drawn) == 1_000
    assert len(set(map(promise, drawn))) == len(drawn)


def test_the_same_seed_gives_the_same_states_and_another_one_gives_others() -> None:
    events = [written(n * PAGE, pages(bytes([n]))) for n in range(12)]
    drawn = [[s.content for s in crash_states(events, states=200, seed=n)] for n in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
