"""A transaction reads what it wrote, as everybody will read it once it has committed.

Generated worlds, generated mutations, generated queries: the answer inside the transaction, of rows
in memory over a snapshot, is the answer outside it after its commit, whatever the way to the rows.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ormdb.errors import OrmdbError
from ormdb.storage.overlay import OverlayTransaction
from tests import box as boxes
from tests.oracle.compare import DifferenceError
from tests.oracle.stage import Stage, open_stage

QUERIES = 25
TRANSACTIONS = 3


class _UndoneError(Exception):
    """Ends a savepoint that is to be undone."""


def check_own_writes(stage: Stage, *, exclusive: bool) -> int:
    """Compare what a transaction reads with what everybody reads after it; how many answers."""
    db, count = stage.database, 0
    for _ in range(TRANSACTIONS):
        mutations = stage.rows.commit()
        queries = list(stage.queries(QUERIES))
        txn = db.transaction(exclusive=exclusive)
        for mutation in mutations:
            try:
                with txn.savepoint():
                    txn.run_mutations([mutation])
                    raise _UndoneError
            except _UndoneError:
                pass
            txn.run_mutations([mutation])
        inside = [txn.run_fetch(query).dicts() for query in queries]
        counted = [txn.run_count(query) for query in queries]
        txn.commit()
        for query, seen, number in zip(queries, inside, counted, strict=True):
            if seen != db.run_fetch(query).dicts() or number != db.run_count(query):
                raise DifferenceError(
                    f"{stage.label}: another answer in the transaction to\n{query}"
                )
            count += 1
    report = db.check(deep=True)
    assert report.is_clean, report
    return count


@pytest.mark.soak(seconds=12, cases_min=300)
def test_a_transaction_reads_its_own_writes_as_others_will(box: boxes.Box, tmp_path: Path) -> None:
    for seed in box.seeds():
        with open_stage(seed, tmp_path if seed % 2 else None, commits=1) as stage:
            box.count(check_own_writes(stage, exclusive=seed % 5 == 0))


def test_an_overlay_that_forgets_a_removal_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def remove_one(self: OverlayTransaction, space: object, items: list[object]) -> None:
        if len(items) < 2:
            remove(self, space, items)

    remove = vars(OverlayTransaction)["_remove"]
    monkeypatch.setattr(OverlayTransaction, "_remove", remove_one)
    with pytest.raises((DifferenceError, OrmdbError, AssertionError)):
        for seed in range(60):
            with open_stage(seed, commits=1) as stage:
                check_own_writes(stage, exclusive=False)
