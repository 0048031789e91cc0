"""A statement is refused exactly when plain dicts refuse it, and then nothing has changed.

Identities, uniques with NULLs, composite keys, foreign keys of every mode and to their own
entity, checks, defaults, sequences, stored computed fields; single statements, several at once,
transactions that go on after a refusal, and bulk loads; deletes that cascade, set to NULL or wait
for the end of their transaction, and checks that do.
"""

from __future__ import annotations

import pytest

from tests.box import Box
from tests.oracle.club import loose_club
from tests.oracle.club_machine import ClubMachine, run_machine

EXAMPLES = 10
STEPS = 25


class WildWrites(ClubMachine):
    """Statements of every kind, compared as a whole after each."""

    odd = 0.1


class WildWritesOnDisk(WildWrites):
    """The same on disk."""

    on_disk = True


@pytest.mark.soak(seconds=25, cases_min=60)
def test_constraints_hold_in_memory_as_they_do_among_plain_dicts(box: Box) -> None:
    for seed in box.seeds():
        run_machine(WildWrites, seed, examples=EXAMPLES, steps=STEPS)
        box.count(EXAMPLES)


@pytest.mark.soak(seconds=15, cases_min=20)
def test_constraints_hold_on_disk_as_they_do_among_plain_dicts(box: Box) -> None:
    for seed in box.seeds():
        run_machine(WildWritesOnDisk, seed, examples=EXAMPLES, steps=STEPS)
        box.count(EXAMPLES)


@pytest.mark.soak(seconds=30, cases_min=30)
def test_cascades_and_late_checks_do_as_among_plain_dicts(box: Box) -> None:
    for seed in box.seeds():
        bundle = loose_club(seed)
        for machine in (WildWrites, WildWritesOnDisk):
            run_machine(machine, seed, examples=EXAMPLES // 2, steps=STEPS, bundle=bundle)
        box.count(2 * (EXAMPLES // 2))
