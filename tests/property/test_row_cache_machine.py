"""No answer is ever wrong because of what is kept: old readers, two processes and the past at once.

The machine (`tests/oracle/hostel_machine.py`) compares each answer with plain dicts of its version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, cast

import pytest

from ormdb.database.reading import Snapshot
from ormdb.query import answer_source
from ormdb.storage import row_cache
from ormdb.storage.changelog import LogEntry, Op, read_entries
from ormdb.storage.row_cache import RowCache, Shelf
from ormdb.storage.views import PastView, View
from ormdb.txn.reads import RecordingView
from tests.box import Box
from tests.oracle.compare import DifferenceError
from tests.oracle.hostel_machine import walk
from tests.oracle.partner import PRINCIPAL, Partner
from tests.oracle.stepped import GATES, gates

STEPS: Final = 40  # of one walk
SEEDS_MAX: Final = 150  # walks after which a planted fault has to be found
NEWER: Final = 2**62


@pytest.fixture(scope="module")
def partner() -> Iterator[Partner]:
    with Partner() as opened:
        yield opened


@pytest.mark.soak(seconds=25, cases_min=1_000)
def test_readers_of_every_age_in_two_processes_see_their_version(
    box: Box, partner: Partner
) -> None:
    told = Counter[str]()
    with gates():
        for seed in box.seeds():
            before = told["steps"]
            walk(partner, seed, steps=STEPS, counts=told)
            box.count(told["steps"] - before)
    box.tell(", ".join(f"{count:,} {what}" for what, count in sorted(told.items())))
    assert box.only_seed or all(told[f"overtaken before {gate}"] for gate in GATES)


# --- faults that the machine has to find ----------------------------------------------------------


def rows_stay(patch: pytest.MonkeyPatch) -> None:
    """A row that a commit changed stays kept."""
    patch.setattr(Shelf, "drop", always(None))


def rows_of_the_old_generation_stay(patch: pytest.MonkeyPatch) -> None:
    """A row that a commit changed is taken off the young generation alone."""

    def drop(self: Shelf, key: Any) -> None:
        self.young.pop(key, None)

    patch.setattr(Shelf, "drop", drop)


def groups_stay(patch: pytest.MonkeyPatch) -> None:
    """Children, folds and pages outlive a change of their entity."""

    def take_off(self: RowCache, entity_id: int, *given: Any) -> None:
        kept = vars(self)["_entities"].get(entity_id)
        groups = None if kept is None else kept.groups
        taken_off(self, entity_id, *given)
        if kept is not None:
            kept.groups = groups

    taken_off = vars(RowCache)["_take_off"]
    patch.setattr(RowCache, "_take_off", take_off)


def groups_outlive_an_insert(patch: pytest.MonkeyPatch) -> None:
    """A row that is new changes nothing of what is kept."""

    def take_off(self: RowCache, entity_id: int, op: Op, keys: Any, version: int) -> None:
        if op is not Op.INSERT:
            taken_off(self, entity_id, op, keys, version)

    taken_off = vars(RowCache)["_take_off"]
    patch.setattr(RowCache, "_take_off", take_off)


def old_readers_find_what_is_newer(patch: pytest.MonkeyPatch) -> None:
    """A snapshot uses what is kept although the entity changed after it."""
    claim(patch, ("rows", "groups", "look"), lambda _: NEWER)
    patch.setattr(RowCache, "is_true", always(True))


def the_bound_is_off_by_one(patch: pytest.MonkeyPatch) -> None:
    """The snapshot just before a change still uses what is kept after it."""
    claim(patch, ("rows", "groups", "look"), lambda version: version + 1)


def old_readers_may_fill(patch: pytest.MonkeyPatch) -> None:
    """What a snapshot has read is kept although a commit has changed it meanwhile."""
    claim(patch, ("_keep",), lambda _: NEWER)


def nobody_looks_again(patch: pytest.MonkeyPatch) -> None:
    """What was found is used although it may have changed while it was looked for."""

    def look(self: RowCache, entity_id: int, shelf: Shelf, keys: Any, _: int) -> list[Any]:
        return [shelf.young.get(key) or shelf.old.get(key) for key in keys]

    patch.setattr(RowCache, "look", look)
    patch.setattr(RowCache, "is_true", always(True))


def commits_of_the_other_process_are_not_applied(patch: pytest.MonkeyPatch) -> None:
    """Only what this process has changed is taken off."""

    def read_own_entries(*given: Any) -> Iterator[LogEntry]:
        for entry in read_entries(*given):
            yield replace(entry, changes=()) if entry.principal == PRINCIPAL else entry

    patch.setattr(row_cache, "read_entries", read_own_entries)


def a_gap_in_the_log_is_passed_over(patch: pytest.MonkeyPatch) -> None:
    """Commits that retention has dropped from the log are taken for applied."""

    def read_without_gaps(txn: Any, first: int, last: int) -> Iterator[LogEntry]:
        there = {entry.version: entry for entry in read_entries(txn, first, last)}
        for version in range(first, last + 1):
            missing = LogEntry(version=version, wall_us=0, principal="", changes=())
            yield there.get(version, missing)

    patch.setattr(row_cache, "read_entries", read_without_gaps)


def the_past_is_served(patch: pytest.MonkeyPatch) -> None:
    """A question as of a version finds what is true now."""
    let_the_past_use_the_cache(patch, finds=True, leaves=False)


def the_past_is_kept(patch: pytest.MonkeyPatch) -> None:
    """A question as of a version leaves what it has read as if it were true now."""
    let_the_past_use_the_cache(patch, finds=False, leaves=True)


def transactions_keep_what_they_wrote(patch: pytest.MonkeyPatch) -> None:
    """Rows that a transaction has written and read are kept before they are committed."""

    def recording(self: RecordingView, *given: Any) -> None:
        begin(self, *given)
        self.cache = caches[-1]

    caches, begin = made_caches(patch), RecordingView.__init__
    patch.setattr(RecordingView, "__init__", recording)


def pages_forget_what_else_they_read(patch: pytest.MonkeyPatch) -> None:
    """A page is kept although it depends on rows of other entities, which have changed."""
    patch.setattr(RowCache, "changed", always(()))


def answers_share_what_is_kept(patch: pytest.MonkeyPatch) -> None:
    """JSON in an answer is the very value that is kept."""

    def same(value: Any) -> Any:
        return value

    patch.setattr(answer_source, "fresh_json", same)


def claim(
    patch: pytest.MonkeyPatch, names: Sequence[str], version_of: Callable[[int], int]
) -> None:
    """Call methods of the cache, whose last argument is a version, with another one."""

    def claiming(method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given: method(*given[:-1], version_of(given[-1]))

    for name in names:
        patch.setattr(RowCache, name, claiming(getattr(RowCache, name)))


def always(value: object) -> Callable[..., object]:
    """A function that gives the same, whatever it is given."""

    def give(*_: object) -> object:
        return value

    return give


def made_caches(patch: pytest.MonkeyPatch) -> list[RowCache]:
    """The caches that are made from now on."""
    caches, begin = list[RowCache](), RowCache.__init__

    def remember(self: RowCache, *given: int) -> None:
        begin(self, *given)
        caches.append(self)

    patch.setattr(RowCache, "__init__", remember)
    return caches


def let_the_past_use_the_cache(patch: pytest.MonkeyPatch, *, finds: bool, leaves: bool) -> None:
    """Views of the past have the newest cache, to which they seem to be views of now."""

    def view(self: Snapshot, version: int) -> View:
        made: View = views(self, version)
        if isinstance(made, PastView):
            lying = Lying(caches[-1], self.head.version, finds=finds, leaves=leaves)
            made.cache = cast("RowCache", lying)
        return made

    caches, views = made_caches(patch), vars(Snapshot)["_view"]
    patch.setattr(Snapshot, "_view", view)


class Lying:
    """A row cache to which every reader is one of the newest version."""

    hits = misses = 0

    def __init__(self, cache: RowCache, version: int, *, finds: bool, leaves: bool) -> None:
        self._cache, self._version = cache, version
        self._finds, self._leaves = finds, leaves

    def rows(self, entity_id: int, decoder: Any, _: int) -> Shelf | None:
        return self._cache.rows(entity_id, decoder, self._version)

    def groups(self, entity_id: int, kind: Any, _: int) -> Shelf | None:
        return self._cache.groups(entity_id, kind, self._version)

    def changed(self, entity_ids: Any, _: int) -> tuple[int, ...] | None:
        return self._cache.changed(entity_ids, self._version)

    def is_true(self, entity_id: int, _: int) -> bool:
        return self._finds and self._cache.is_true(entity_id, self._version)

    def look(self, entity_id: int, shelf: Shelf, keys: Any, _: int) -> list[Any] | None:
        if not self._finds:
            return [None] * len(keys)
        return self._cache.look(entity_id, shelf, keys, self._version)

    def leave(self, entity_id: int, shelf: Shelf, things: Any, row_bytes: int, _: int) -> None:
        if self._leaves:
            self._cache.leave(entity_id, shelf, things, row_bytes, self._version)

    def add_weight(self, weight: int) -> None:
        self._cache.add_weight(weight)


FAULTS: Final[tuple[Callable[[pytest.MonkeyPatch], None], ...]] = (
    rows_stay,
    rows_of_the_old_generation_stay,
    groups_stay,
    groups_outlive_an_insert,
    old_readers_find_what_is_newer,
    the_bound_is_off_by_one,
    old_readers_may_fill,
    nobody_looks_again,
    commits_of_the_other_process_are_not_applied,
    a_gap_in_the_log_is_passed_over,
    the_past_is_served,
    the_past_is_kept,
    transactions_keep_what_they_wrote,
    pages_forget_what_else_they_read,
    answers_share_what_is_kept,
)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_machine_finds_a_fault_of_what_is_kept(
    fault: Callable[[pytest.MonkeyPatch], None],
    partner: Partner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault(monkeypatch)
    with gates(), pytest.raises(DifferenceError):
        for seed in range(SEEDS_MAX):
            walk(partner, seed, steps=STEPS, counts=Counter(), shrink=False)


def test_a_difference_is_told_with_few_steps(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups_stay(monkeypatch)
    with gates(), pytest.raises(DifferenceError) as caught:
        for seed in range(SEEDS_MAX):
            walk(partner, seed, steps=STEPS, counts=Counter())
    told = str(caught.value).splitlines()
    assert told[0].startswith("seed ")
    assert 1 <= sum(line.startswith("    (") for line in told) <= 3
