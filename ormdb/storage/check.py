"""Check: every invariant of a file, verified against the rest of the file.

    shallow   head, spaces, counters, and that the log has no gap        seconds, whatever the size
    deep      every row, entry, old version and log entry, both ways     every byte is read

    rows ──────▶ their entries ─────▶ rows            each entry leads to a row that asks for it,
      │                                               and there are as many as rows ask for
      ├──▶ targets of enforced relations
      ├──▶ what followed in history ──▶ ended entries
      └──▶ commits that began and ended them ──▶ log

The checks read through one snapshot, so a database in use can be checked.  Damage is what they
look for: it comes back as problems, never as an exception.

Invariants (held by tests/unit/storage/test_check.py):
  1. A database that only this package wrote has no problem.
  2. Whatever is changed, added or taken away in any space leaves a problem in a deep check.
"""

from __future__ import annotations

from ormdb.ir.show import show_value
from ormdb.storage.check_deleted import check_deleted
from ormdb.storage.check_entries import check_entries
from ormdb.storage.check_history import check_history, check_index_history
from ormdb.storage.check_log import check_log, check_log_keys
from ormdb.storage.check_rows import RowTally, check_rows
from ormdb.storage.engine import ReadTransaction
from ormdb.storage.findings import CheckReport, Findings
from ormdb.storage.head import COUNTER_BYTES, COUNTER_PREFIX, Head, read_counters, read_head
from ormdb.storage.keys import row_number
from ormdb.storage.layout import (
    CATALOG,
    CHANGES,
    META,
    ROW_KEY_BYTES,
    EntityLayout,
    Layout,
)
from ormdb.storage.statistics import STATISTICS, is_sealed


def check(
    txn: ReadTransaction, layout: Layout, *, deep: bool, findings: Findings | None = None
) -> CheckReport:
    """Verify what the snapshot sees against itself.

    Args:
      txn: the snapshot.
      layout: the layout of the head's schema version.
      deep: read everything; else only what is read in seconds.
      findings: problems found before, which the report also lists.
    """
    findings = Findings() if findings is None else findings
    head: Head | None = None
    with findings.section("head", None, META.name):
        head = read_head(txn)
        if head is None:
            findings.add("head", None, META.name, "the database has no head record")
    if head is None:
        return findings.report(deep=deep, version=0)
    _check_head(layout, head, findings)
    with findings.section("space", None, "spaces"):
        _check_spaces(txn, layout, findings)
    check_log_keys(txn, head, findings)
    with findings.section("counter", None, META.name):
        _check_meta(txn, layout, findings)
    with findings.section("space", None, STATISTICS.name):
        _check_statistics(txn, findings)
    for entity in layout.entities.values():
        with findings.section("counter", entity.name, META.name):
            _check_row_counter(txn, entity, findings)
    if deep:
        _check_contents(txn, layout, head, findings)
    return findings.report(deep=deep, version=head.version)


def counter_keys(layout: Layout) -> set[bytes]:
    """The keys of every counter that the entities of a schema may have."""
    known: set[bytes] = set()
    for entity in layout.entities.values():
        number = entity.entity.id
        names = [f"row/{number}", *(f"sequence/{number}/{f.slot}" for f in entity.entity.fields)]
        known |= {COUNTER_PREFIX + name.encode() for name in names}
    return known


def _check_contents(txn: ReadTransaction, layout: Layout, head: Head, findings: Findings) -> None:
    tallies: dict[str, RowTally] = {}
    for entity in layout.entities.values():
        tally = tallies[entity.name] = check_rows(txn, entity, head, findings)
        check_history(txn, entity, head, tally, findings)
        check_deleted(txn, entity, findings)
        for index in entity.maintained():
            check_entries(txn, entity, index, tally.entries[index.space.name], findings)
            check_index_history(txn, entity, index, findings)
        with findings.section("counter", entity.name, META.name):
            _check_sequences(txn, entity, tally, findings)
    check_log(txn, layout, head, tallies, findings)


def _check_head(layout: Layout, head: Head, findings: Findings) -> None:
    if not 0 < head.horizon <= head.version:
        sentence = f"the horizon {head.horizon} is not among the commits 1 to {head.version}"
        findings.add("head", None, META.name, sentence)
    if head.schema_version != layout.bundle.version:
        findings.add(
            "head",
            None,
            META.name,
            f"the head names schema version {head.schema_version}, but the catalog gives "
            f"{layout.bundle.version}",
        )
    if len(head.database_id) != 16:
        findings.add("head", None, META.name, "the identity of the database is not of 16 bytes")


def _check_spaces(txn: ReadTransaction, layout: Layout, findings: Findings) -> None:
    """See that every space belongs to something that the schema has."""
    known = {META.name, CATALOG.name, CHANGES.name, STATISTICS.name}
    for entity in layout.entities.values():
        known |= {entity.rows.name, entity.history.name}
        if entity.deleted is not None:
            known |= {entity.deleted.rows.name, entity.deleted.identities.name}
        for index in entity.maintained():
            known |= {index.space.name, index.history.name}
    for name in txn.space_names():
        findings.counts.spaces += 1
        if name not in known:
            sentence = f"the space {name} belongs to nothing in the schema"
            findings.add("space", None, name, sentence)


def _check_meta(txn: ReadTransaction, layout: Layout, findings: Findings) -> None:
    """See that every record beside the head is a counter of something that the schema has."""
    known = {b"head", *counter_keys(layout)}
    for batch in txn.scan(META):
        for key, value in batch:
            name = show_value(key)
            if key not in known:
                findings.add("counter", None, META.name, f"the record {name} is of no use")
            elif key != b"head" and len(value) != COUNTER_BYTES:
                findings.add("counter", None, META.name, f"the counter {name} is no number")


def _check_statistics(txn: ReadTransaction, findings: Findings) -> None:
    """See that no record is damaged; those of a newer ormdb are none of ours."""
    for batch in txn.scan(STATISTICS):
        for key, data in batch:
            if not is_sealed(key, data):
                name = show_value(key)
                sentence = f"the statistics {name} fail their checksum; analyze the database anew"
                findings.add("space", None, STATISTICS.name, sentence)


def _check_row_counter(txn: ReadTransaction, entity: EntityLayout, findings: Findings) -> None:
    """See that no row has a number that is still to be given out."""
    if entity.int_identity_slot is not None:
        return
    counter = read_counters(txn, [f"row/{entity.entity.id}"])[0]
    for space in (entity.rows, entity.history):
        tail = next(txn.scan(space, reverse=True, limit=1), None)
        if tail and len(tail[0][0]) >= ROW_KEY_BYTES:
            number = row_number(tail[0][0][:ROW_KEY_BYTES])
            if number > counter:
                _behind(entity, "rows", number, counter, findings)


def _check_sequences(
    txn: ReadTransaction, entity: EntityLayout, tally: RowTally, findings: Findings
) -> None:
    for slot, greatest in tally.sequences.items():
        counter = read_counters(txn, [f"sequence/{entity.entity.id}/{slot}"])[0]
        if greatest > counter:
            name = next(part.name for part in entity.entity.fields if part.slot == slot)
            _behind(entity, name, greatest, counter, findings)


def _behind(entity: EntityLayout, what: str, number: int, counter: int, findings: Findings) -> None:
    findings.add(
        "counter",
        entity.name,
        META.name,
        f"the counter of {what} of {entity.name} stands at {counter}, but {number} is in use",
    )
