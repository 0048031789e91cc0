"""Read sets: what passes validation reads the same again, and the log and a walk agree.

A generated query is read by a transaction of a generated world, others commit generated changes,
and both ways of validation are asked.  When they let the reads pass, the query has to give the same
answer as before.  The other direction is no law, since a row may change in a field that nobody
looked at; how often reads pass is counted, so that a validation that refuses everything fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from ormdb.database.reading import Snapshot
from ormdb.errors import ConflictError
from ormdb.storage.views import RowTest
from ormdb.txn import validate
from ormdb.txn.reads import ReadSet, Stretch
from ormdb.txn.validate import changes_since, validate_by_log, validate_by_walk
from tests import box as boxes
from tests.oracle.compare import DifferenceError
from tests.oracle.stage import Stage, open_stage

ROUNDS = 40


def verdict(judge: Callable[[], None]) -> bool:
    """Whether the reads still hold."""
    try:
        judge()
    except ConflictError:
        return False
    return True


def by_log(old: Snapshot, new: Snapshot, reads: ReadSet) -> None:
    changed = changes_since(new.txn, reads, read_at=old.version, newest=new.version)
    assert changed is not None
    validate_by_log(new.txn, new.layout, reads, changed, read_at=old.version)


def by_walk(old: Snapshot, new: Snapshot, reads: ReadSet) -> None:
    validate_by_walk(old.txn, new.txn, new.layout, reads, read_at=old.version)


def check_validation(stage: Stage) -> tuple[int, int]:
    """How many reads passed, and how many did not."""
    db, passed, refused = stage.database, 0, 0
    for query in stage.queries(ROUNDS):
        with db.transaction() as txn, db.snapshot() as old:
            before = txn.run_fetch(query).dicts()
            reads: ReadSet = vars(txn)["_reads"]
            stage.commit()
            with db.snapshot() as new:
                holds = verdict(lambda: by_log(old, new, reads))  # noqa: B023  # called at once
                walked = verdict(lambda: by_walk(old, new, reads))  # noqa: B023
                after = new.run_fetch(query).dicts()
        if holds != walked:
            raise DifferenceError(
                f"{stage.label}: the log says {holds} and a walk {walked} of\n{query}"
            )
        if holds and before != after:
            raise DifferenceError(
                f"{stage.label}: reads passed, and the answer changed, of\n{query}"
            )
        passed, refused = passed + holds, refused + (not holds)
    return passed, refused


@pytest.mark.soak(seconds=12, cases_min=300)
def test_reads_that_pass_validation_give_the_same_answer(box: boxes.Box) -> None:
    passed = refused = 0
    for seed in box.seeds():
        with open_stage(seed, commits=2) as stage:
            kept, lost = check_validation(stage)
        passed, refused = passed + kept, refused + lost
        box.count(kept + lost)
    box.tell(f"{passed:,} passed, {refused:,} refused")
    assert passed > 0.1 * refused
    assert refused > 0.1 * passed


class _Blind:
    """A past in which nothing was."""

    def __init__(self, txn: object, version: int) -> None:
        pass

    def rows(self, entity: object, keys: list[bytes]) -> list[None]:
        return [None] * len(keys)


def forget_walks(patch: pytest.MonkeyPatch) -> None:
    def covers(self: Stretch, key: bytes, row_key: bytes) -> bool:
        return False

    patch.setattr(Stretch, "covers", covers)


def think_tests_unmet(patch: pytest.MonkeyPatch) -> None:
    def met_by(self: RowTest, keys: Sequence[bytes], rows: Sequence[bytes]) -> list[bool]:
        return [False] * len(rows)

    patch.setattr(RowTest, "met_by", met_by)


def overlook_what_was(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(validate, "PastView", _Blind)


FAULTS = (forget_walks, think_tests_unmet, overlook_what_was)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_validation_that_is_wrong_is_found(
    fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    with pytest.raises(DifferenceError):
        for seed in range(40):
            with open_stage(seed, commits=2) as stage:
                check_validation(stage)
