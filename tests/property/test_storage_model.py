"""Rows, ranges and relations are as plain dicts say, now and as of every version that is kept.

Long series of commits, aborts, loads, deletes and inserts of the same identity, reclaim and, on
disk, reopening; a deep check ends every series.
"""

from __future__ import annotations

import pytest

from tests.box import Box
from tests.oracle.club_machine import ClubMachine, run_machine

EXAMPLES = 8
STEPS = 40


class InMemory(ClubMachine):
    """Series on the engine in memory."""


class OnDisk(ClubMachine):
    """Series on the engine on disk, reopened now and then."""

    on_disk = True


@pytest.mark.soak(seconds=20, cases_min=40)
def test_a_database_in_memory_has_the_rows_and_the_past_of_plain_dicts(box: Box) -> None:
    for seed in box.seeds():
        run_machine(InMemory, seed, examples=EXAMPLES, steps=STEPS)
        box.count(EXAMPLES)


@pytest.mark.soak(seconds=20, cases_min=24)
def test_a_database_on_disk_has_the_rows_and_the_past_of_plain_dicts(box: Box) -> None:
    for seed in box.seeds():
        run_machine(OnDisk, seed, examples=EXAMPLES, steps=STEPS)
        box.count(EXAMPLES)
