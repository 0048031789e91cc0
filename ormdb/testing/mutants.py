"""Mistakes that an engine of transactions may have, to be switched on: does anybody notice?

    with planted("ranges are not validated"):
        run, failure = explore(open_playground, draw_plan, seed=7)
    assert failure is not None          a suite that passes now would pass over the same bug

A mutant replaces functions of the engine as long as its block lasts, in all threads of the process.
Nothing of it is in the engine itself, which pays nothing for it.

Invariants (held by tests/property/test_mutants.py):
  1. Every mutant is found by the playground within 10,000 transactions.
  2. After its block the engine is as before.
"""

from __future__ import annotations

import importlib
import random
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeAlias

from ormdb.errors import UsageError

Function: TypeAlias = Callable[..., Any]

_VALIDATE: Final = "ormdb.txn.validate"
_COMMIT: Final = "ormdb.txn.commit"
_WRITING: Final = "ormdb.database.writing"
_DELETING: Final = "ormdb.txn.deleting"
_PROBES: Final = "ormdb.txn.constraints"


class Patch(NamedTuple):
    """A function of the engine, by module and name, and what is made of it."""

    module: str
    name: str  # "Class.method" or "function"
    change: Callable[[Function], Function]


class _Replaying(threading.local):
    """Whether this thread runs statements that were tried before."""

    now = False


_replaying = _Replaying()


@contextmanager
def planted(name: str, *, seed: int = 0) -> Generator[None]:
    """Make a mistake until the block ends.

    Args:
      name: which, one of `MUTANTS`.
      seed: decides when mistakes are made that are made now and then.
    """
    if name not in MUTANTS:
        raise UsageError(f"there is no mutant {name!r}; there are: {', '.join(MUTANTS)}")
    undo: list[tuple[Any, str, Function]] = []
    try:
        for patch in MUTANTS[name](random.Random(seed)):
            *owners, attribute = patch.name.split(".")
            owner: Any = importlib.import_module(patch.module)
            for each in owners:
                owner = getattr(owner, each)
            original: Function = getattr(owner, attribute)
            undo.append((owner, attribute, original))
            setattr(owner, attribute, patch.change(original))
        yield
    finally:
        for owner, attribute, original in reversed(undo):
            setattr(owner, attribute, original)


# --- what was read is not validated -------------------------------------------------------------


def _unread(**nothing: Any) -> Callable[[random.Random], list[Patch]]:
    """Reads of one kind are overlooked."""

    def change(conflict: Function) -> Function:
        def changed(images: Any, reads: Any) -> Any:
            return conflict(images, replace(reads, **nothing))

        return changed

    return lambda chance: [Patch(_VALIDATE, "_Images.conflict", change)]


def _absences(chance: random.Random) -> list[Patch]:
    """Rows that were not there before are overlooked."""

    def change(init: Function) -> Function:
        def changed(self: Any, entity: Any, keys: Any, before: Any, after: Any) -> None:
            pairs = zip(before, after, strict=True)
            init(self, entity, keys, before, [None if old is None else new for old, new in pairs])

        return changed

    return [Patch(_VALIDATE, "_Images.__init__", change)]


def _deletions(chance: random.Random) -> list[Patch]:
    """Rows that are there no longer are overlooked."""

    def change(init: Function) -> Function:
        def changed(self: Any, entity: Any, keys: Any, before: Any, after: Any) -> None:
            pairs = zip(before, after, strict=True)
            init(self, entity, keys, [None if new is None else old for old, new in pairs], after)

        return changed

    return [Patch(_VALIDATE, "_Images.__init__", change)]


def _now_and_then(chance: random.Random) -> list[Patch]:
    """One transaction in a hundred is not validated."""

    def change(request: Function) -> Function:
        def changed(txn: Any, trial: Any) -> Any:
            made = request(txn, trial)
            return replace(made, reads=type(made.reads)()) if chance.random() < 0.01 else made

        return changed

    def skip(validate: Function) -> Function:
        def changed(txn: Any, old: Any, new: Any) -> None:
            pass  # else what is skipped was validated outside the lock

        return changed

    return [Patch(_WRITING, "Transaction._request", change), *_outside(chance, skip)]


def _outside(chance: random.Random, skip: Callable[[Function], Function]) -> list[Patch]:
    """Leave validation to the committer alone."""

    def change(request: Function) -> Function:
        def changed(txn: Any, trial: Any) -> Any:
            return replace(request(txn, trial), read_at=txn._read_at)

        return changed

    return [
        Patch(_WRITING, "Transaction._validate", skip),
        Patch(_WRITING, "Transaction._request", change),
    ]


def _wrong_version(chance: random.Random) -> list[Patch]:
    """The first commit after the snapshot is taken for one that was seen."""

    def change(changes_since: Function) -> Function:
        def changed(txn: Any, reads: Any, *, read_at: int, newest: int) -> Any:
            return changes_since(txn, reads, read_at=min(read_at + 1, newest), newest=newest)

        return changed

    return [Patch(module, "changes_since", change) for module in (_COMMIT, _WRITING)]


# --- what statements found is not found again ---------------------------------------------------


def _mark_replays(run_statement: Function) -> Function:
    def changed(commit: Any, statement: Any) -> Any:
        _replaying.now = True
        try:
            return run_statement(commit, statement)
        finally:
            _replaying.now = False

    return changed


_REPLAYS: Final = Patch(_COMMIT, "OpenCommit.run_statement", _mark_replays)


def _targets(chance: random.Random) -> list[Patch]:
    """A parent that was there is taken to be there still."""

    def change(targets: Function) -> Function:
        def changed(probes: Any, relation: Any, keys: Any) -> Any:
            found = targets(probes, relation, keys)
            if _replaying.now and relation.target_lookup is None:
                bias = 1 << 63
                return {key: int.from_bytes(key, "big") - bias for key in keys} | found
            return found

        return changed

    return [_REPLAYS, Patch(_PROBES, "Probes._targets", change)]


def _referrers(chance: random.Random) -> list[Patch]:
    """A row that had no children is taken to have none."""

    def change(plan_delete: Function) -> Function:
        def changed(entity: Any, keys: Any, referrers: Function, **named: Any) -> Any:
            def nobody(relation: Any, keys: Any, *given: Any, **named: Any) -> list[bytes]:
                return [b""] * len(keys)

            return plan_delete(entity, keys, nobody if _replaying.now else referrers, **named)

        return changed

    return [_REPLAYS, Patch(_DELETING, "plan_delete", change)]


def _uniques(chance: random.Random) -> list[Patch]:
    """A unique value that was free is taken to be free."""

    def change(uniques: Function) -> Function:
        def changed(*given: Any, **named: Any) -> Any:
            return [] if _replaying.now else uniques(*given, **named)

        return changed

    return [_REPLAYS, Patch(_PROBES, "Probes.uniques", change)]


def _outcomes(chance: random.Random) -> list[Patch]:
    """What a statement was told to have done is not compared with what it does."""

    def change(run_statement: Function) -> Function:
        def changed(commit: Any, statement: Any) -> Any:
            told = statement.outcomes
            found = run_statement(commit, replace(statement, outcomes=None))
            return found if told is None else told

        return changed

    return [Patch(_COMMIT, "OpenCommit.run_statement", change)]


# --- commits and snapshots ----------------------------------------------------------------------


def _read_latest(chance: random.Random) -> list[Patch]:
    """A read sees the newest commit, not the one at which its transaction began."""

    def change(view: Function) -> Function:
        def changed(txn: Any) -> Any:
            if txn._trial is None and txn._snapshot is not None:
                txn._snapshot.close()
                txn._snapshot = txn._begin_snapshot()
            return view(txn)

        return changed

    return [Patch(_WRITING, "Transaction._view", change)]


def _abort_leak(chance: random.Random) -> list[Patch]:
    """One transaction in ten that is rolled back is committed."""

    def change(rollback: Function) -> Function:
        def changed(txn: Any) -> None:
            if not txn._ended and chance.random() < 0.1:
                txn.commit()
            rollback(txn)

        return changed

    return [Patch(_WRITING, "Transaction.rollback", change)]


def _torn_commit(chance: random.Random) -> list[Patch]:
    """One commit in fifty loses its last statement."""

    def change(run: Function) -> Function:
        def changed(commit: Any, request: Any) -> Any:
            if len(request.statements) > 1 and chance.random() < 0.02:
                request = replace(request, statements=request.statements[:-1])
            return run(commit, request)

        return changed

    return [Patch(_COMMIT, "OpenCommit.run", change)]


MUTANTS: Final[Mapping[str, Callable[[random.Random], list[Patch]]]] = {
    "rows are not validated": _unread(rows={}),
    "keys of indexes and relations are not validated": _unread(keys={}),
    "ranges are not validated": _unread(stretches=[]),
    "counts are not validated": _unread(count=None),
    "absences are not validated": _absences,
    "deletions are not validated": _deletions,
    "one transaction in a hundred is not validated": _now_and_then,
    "validated against the wrong version": _wrong_version,
    "targets of foreign keys are not probed again": _targets,
    "referrers are not probed again": _referrers,
    "unique values are not probed again": _uniques,
    "outcomes are not compared": _outcomes,
    "reads see the newest commit": _read_latest,
    "aborted transactions leak": _abort_leak,
    "commits are torn": _torn_commit,
}
