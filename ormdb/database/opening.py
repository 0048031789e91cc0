"""What `open` does: the file, then the head, then the schema.

    open("flights.ormdb", schema=[Airport, Flight])

    engine    memory, or the file on disk (created with mode 0600 when it may be)
    head      absent: an empty database, which gets commit 1 and schema version 1
    schema    equal to the stored one     nothing happens
              differs, touches no row     stored as the next version, in one commit
              differs otherwise           SchemaChangeError, which prints the difference

Without `schema` the stored one is used, and rows come as classes made from it.

Invariants (held by tests/unit/database/test_opening.py):
  1. A refused open leaves the file as it was; one that failed to create leaves none.
  2. Two processes that open the same new schema at once store it once.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeAlias
from typing import Literal as Choice

from ormdb import limits
from ormdb.catalog.registry import load_bundle, reconcile, store_bundle
from ormdb.catalog.text import bundle_from_text
from ormdb.catalog.validate import validate
from ormdb.clock import Clock, SystemClock
from ormdb.database.database import Database, StatisticsMode
from ormdb.errors import CorruptionError, ReadOnlyError, UsageError
from ormdb.ir.schema import SchemaBundle
from ormdb.model.build import build_bundle
from ormdb.model.entity import Entity
from ormdb.observe.observer import Observer
from ormdb.observe.repeats import N1Settings
from ormdb.session import Context
from ormdb.storage.changelog import ChangeSet, append_entry
from ormdb.storage.engine import Engine, ReadTransaction, WriteTransaction
from ormdb.storage.head import Head, read_head, write_head
from ormdb.storage.memory import MemoryEngine

MEMORY_PATH: Final = ":memory:"
Schema: TypeAlias = Sequence[type[Entity]] | SchemaBundle | str
Durability: TypeAlias = Choice["full", "relaxed", "none"]
_DEFAULT_RETENTION: Final = datetime.timedelta(seconds=limits.RETENTION_AGE_S)


def open_database(  # noqa: PLR0913  # long because: every option is described
    path: str | os.PathLike[str],
    schema: Schema | None = None,
    *,
    read_only: bool = False,
    create: bool = True,
    durability: Durability = "full",
    retention: datetime.timedelta = _DEFAULT_RETENTION,
    snapshot_age_s: float = limits.SNAPSHOT_AGE_S_MAX,
    map_bytes: int = limits.MAP_BYTES_INITIAL,
    cache_bytes: int = limits.ROW_CACHE_BYTES,
    slow_query_s: float | None = None,
    detect_n_plus_one: bool | N1Settings = False,
    statistics: StatisticsMode | None = None,
    context: Context | None = None,
    clock: Clock | None = None,
) -> Database:
    """Open a database, creating it when it does not exist.

    Args:
      path: the file, or ":memory:" for a database that lives as long as it is open.
      schema: entity classes, a bundle, or a schema in text form; None uses the stored one.
      read_only: refuse writes; works on a file in a read-only directory too.
      create: whether a missing file is created.
      durability: "full": a commit survives a power loss when it returns.  "relaxed": the last
        commits may be lost by a power loss, never torn.  "none": for loads that can be repeated.
      retention: how long history and change log are kept for `as_of`.
      snapshot_age_s: a snapshot held longer is let go.
      map_bytes: the initial address space of the file; it grows by itself.
      cache_bytes: about how much memory may hold rows that were read before; 0 for none.
      slow_query_s: a query that takes this long is logged with its explanation, as a WARNING of
        the logger `ormdb.query`; None logs none.
      detect_n_plus_one: warn, through the same logger, when one line of the program asks for the
        same shape again and again; settings say how often is too often.
      statistics: "auto": what is known of the rows is refreshed in the background, once enough of
        them have changed.  "manual": by `analyze` alone.  Automatic for files, unless said.
      context: who asks when a call does not say; the system by default.
      clock: where time and randomness come from.

    Raises:
      SchemaError: the schema contradicts itself; details list every mistake.
      SchemaChangeError: it differs from the stored one in a way that touches rows.
      FormatError, CorruptionError: the file is not one this ormdb can read.
      UsageError: there is no such file and it may not be created.
    """
    declared = None if schema is None else declared_bundle(schema)
    given_clock = clock or SystemClock()
    place = os.fspath(path)
    engine: Engine
    if place == MEMORY_PATH:
        engine = MemoryEngine()
    else:
        from ormdb.storage.lmdb import LmdbEngine  # a database in memory does without

        engine = LmdbEngine.open(
            place,
            read_only=read_only,
            durability=durability,
            map_bytes=map_bytes,
            create=create and not read_only and declared is not None,
            snapshot_age_s=snapshot_age_s,
        )
    try:
        prepare_schema(engine, declared, given_clock)
        return Database(
            engine,
            clock=given_clock,
            context=context or Context.system(),
            retention=retention,
            cache_bytes=cache_bytes,
            observer=_observer(given_clock, slow_query_s, detect_n_plus_one),
            statistics=statistics or ("manual" if place == MEMORY_PATH else "auto"),
            classes=() if schema is None or isinstance(schema, SchemaBundle | str) else schema,
        )
    except BaseException:
        engine.close()
        raise


def _observer(clock: Clock, slow_query_s: float | None, repeats: bool | N1Settings) -> Observer:
    settings = N1Settings() if repeats is True else repeats or None
    return Observer(clock, slow_query_s=slow_query_s, repeats=settings)


def declared_bundle(schema: Schema) -> SchemaBundle:
    """A schema in any of its forms, as a valid bundle.

    Raises:
      SchemaError: the schema contradicts itself.
    """
    if isinstance(schema, SchemaBundle):
        bundle = schema
    elif isinstance(schema, str):
        bundle = bundle_from_text(schema)
    else:
        bundle = build_bundle(schema)
    validate(bundle)
    return bundle


def prepare_schema(engine: Engine, declared: SchemaBundle | None, clock: Clock) -> None:
    """See that the stored schema is the declared one, storing it where that touches no row."""
    txn = engine.begin_read()
    try:
        if not _needs_storing(txn, declared):
            return
    finally:
        txn.close()
    assert declared is not None
    if engine.read_only:
        raise ReadOnlyError(
            "the declared schema is not the stored one, and the database is open for reading "
            "only; open it without a schema, or for writing"
        )
    write = engine.begin_write()
    try:
        # Another process may have stored it since.
        if _needs_storing(write, declared):
            _store(write, declared, clock)
            write.commit()
    finally:
        write.abort()


def _needs_storing(txn: ReadTransaction, declared: SchemaBundle | None) -> bool:
    head = read_head(txn)
    if head is None:
        if txn.space_names():
            raise CorruptionError("the database lost its head record; restore a backup")
        if declared is None:
            raise UsageError("the database is empty; give the schema it shall have")
        return True
    if declared is None:
        return False
    return reconcile(declared, load_bundle(txn, head.schema_version)).kind != "equal"


def _store(txn: WriteTransaction, declared: SchemaBundle, clock: Clock) -> None:
    """One commit that touches no row and changes the schema."""
    before = read_head(txn)
    wall_us = clock.wall_us() if before is None else max(clock.wall_us(), before.wall_us)
    note = "created" if before is None else "opened with an edited schema"
    stored = store_bundle(txn, declared, wall_us=wall_us, note=note)
    if before is None:
        before = Head(
            version=0,
            wall_us=wall_us,
            schema_version=0,
            horizon=1,
            database_id=clock.random_bytes(16),
        )
    head = replace(
        before, version=before.version + 1, wall_us=wall_us, schema_version=stored.version
    )
    append_entry(
        txn,
        ChangeSet(),
        version=head.version,
        wall_us=wall_us,
        principal=Context.system().principal,
    )
    write_head(txn, head)
