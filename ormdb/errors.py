"""Every error ormdb raises on purpose, as one tree arranged by what the caller does next.

    OrmdbError
    ├── UsageError          ask differently: as asked, it can never succeed
    │   ├── SchemaError, SchemaChangeError, UnsupportedError
    │   ├── QueryError ── ExpressionError, ParameterError, CursorError
    │   ├── ValueTypeError, ValueRangeError
    │   ├── ConstraintError ── RequiredError, UniqueError, ForeignKeyError, CheckError, ...
    │   ├── NotFoundError, NotOneError, NotLoadedError, FrozenError
    │   ├── ClosedError, ReadOnlyError, ThreadError, ForkError, FormatError
    │   ├── ImportFileError, ColumnSourceError
    │   └── HistoryError    the past that was asked for is no longer (or not yet) kept
    ├── LimitError ── BudgetError            ask for less, or raise the limit
    ├── CancelledError      another thread wanted the call to end
    ├── ConflictError       another writer came first: run the transaction again
    ├── DeniedError         somebody else may ask, you may not
    ├── UnavailableError ── StorageFullError, StorageIOError, BusyError, SnapshotExpiredError
    ├── ProtocolError       the peer and we do not speak the same language
    └── CorruptionError     the bytes on disk are not what was written

Invariants (held by tests/unit/test_errors.py):
  1. Every class has a stable `code`, unique in the tree and described in docs/errors.md.
  2. Every error survives pickling with its message and its attributes.
"""

from __future__ import annotations

from typing import Any, ClassVar


class OrmdbError(Exception):
    """Base of every error ormdb raises on purpose.

    `code` is stable and goes on the wire; `retryable` says whether the same request may succeed
    when it is simply made again; `details` are the facts of the sentence, by name.
    """

    code: ClassVar[str] = "ormdb"
    retryable: ClassVar[bool] = False
    by_code: ClassVar[dict[str, type[OrmdbError]]] = {}

    def __init_subclass__(cls, *, code: str, retryable: bool = False) -> None:
        assert code not in OrmdbError.by_code, f"duplicate error code {code}"
        cls.code, cls.retryable = code, retryable
        OrmdbError.by_code[code] = cls

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __getattr__(self, name: str) -> Any:
        """Details read as attributes: `error.entity`, `error.fields`."""
        details: dict[str, Any] = self.__dict__.get("details", {})
        if name in details:
            return details[name]
        raise AttributeError(f"{type(self).__name__} has no detail {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.details)


def _rebuild(kind: type[OrmdbError], message: str, details: dict[str, Any]) -> OrmdbError:
    return kind(message, **details)


# --- ask differently ------------------------------------------------------------------------


class UsageError(OrmdbError, code="usage"):
    """As asked, this can never succeed."""


class SchemaError(UsageError, code="schema.invalid"):
    """The declared schema contradicts itself; `problems` lists every mistake."""


class SchemaChangeError(UsageError, code="schema.changed"):
    """The declared schema differs from the stored one in a way that touches rows."""


class UnsupportedError(UsageError, code="unsupported"):
    """Something was declared or asked for by name that this version does not build."""


class QueryError(UsageError, code="query.invalid"):
    """The query names something that does not exist, or compares what cannot be compared."""


class ExpressionError(QueryError, code="query.expression"):
    """An expression in text form is not one the language knows."""


class ParameterError(QueryError, code="query.parameter"):
    """A prepared query was given no value for a parameter, or one for a parameter it has not; or
    a query with parameters was run without being prepared."""


class CursorError(QueryError, code="query.cursor"):
    """A page cursor is damaged, or belongs to another query."""


class ValueTypeError(UsageError, code="value.type"):
    """A value is not of its field's type."""


class ValueRangeError(UsageError, code="value.range"):
    """A value is of the right type but outside what the type can hold."""


class ConstraintError(UsageError, code="constraint"):
    """A write would break a declared constraint.

    Details: `kind`, `entity`, `fields`, `constraint`, `identity`.
    """


class RequiredError(ConstraintError, code="constraint.required"):
    """A required field has no value."""


class UniqueError(ConstraintError, code="constraint.unique"):
    """Another row already has this identity or unique value."""


class ForeignKeyError(ConstraintError, code="constraint.foreign_key"):
    """The row that a relation points at does not exist, or is still pointed at."""


class CheckError(ConstraintError, code="constraint.check"):
    """A check expression of the entity is false for this row."""


class ImmutableError(ConstraintError, code="constraint.immutable"):
    """An identity or a computed field cannot be written."""


class NotFoundError(UsageError, code="row.missing"):
    """No row has this identity."""


class NotOneError(UsageError, code="result.not_one"):
    """Exactly one row was asked for, and none or several were found."""


class NotLoadedError(UsageError, code="result.not_loaded"):
    """A field or relation was read that the query did not ask for; objects never query."""


class FrozenError(UsageError, code="result.frozen"):
    """A result object was assigned to; rows change through a transaction only."""


class ClosedError(UsageError, code="database.closed"):
    """The database, snapshot or transaction was used after it ended."""


class ReadOnlyError(UsageError, code="database.read_only"):
    """A write was asked of a database that is open for reading only."""


class ThreadError(UsageError, code="database.thread"):
    """A transaction was used by a thread that did not begin it."""


class ForkError(UsageError, code="database.forked"):
    """A database was used in a process forked after it was opened."""


class FormatError(UsageError, code="database.format"):
    """The file is not an ormdb database, or one of a newer format."""


class ImportFileError(UsageError, code="import.file"):
    """A file to import is missing, unreadable or malformed."""


class ColumnSourceError(UsageError, code="load.source"):
    """What columns were to be loaded from failed, or does not keep to Arrow's rules."""


class HistoryError(UsageError, code="history.unavailable"):
    """The past asked for has been reclaimed, or lies in the future."""


# --- ask for less ---------------------------------------------------------------------------


class LimitError(OrmdbError, code="limit"):
    """A fixed bound of `ormdb.limits` was passed."""


class BudgetError(LimitError, code="limit.budget"):
    """A fetch grew past its fanout budget, or a delete past its own.

    Details: `budget` (its name), `path` (the include, or relations), `allowed`, `reached`.
    """


class CancelledError(OrmdbError, code="cancelled"):
    """Another thread cancelled the call; the database goes on as if it had not been made."""


# --- try again, ask someone, repair ---------------------------------------------------------


class ConflictError(OrmdbError, code="txn.conflict", retryable=True):
    """Another writer committed first; run the transaction again."""


class DeniedError(OrmdbError, code="denied"):
    """The context may not do this."""


class UnavailableError(OrmdbError, code="unavailable", retryable=True):
    """The storage cannot serve this now; nothing acknowledged was lost."""


class StorageFullError(UnavailableError, code="storage.full", retryable=True):
    """The disk or the memory map is full; free space and try again."""


class StorageIOError(UnavailableError, code="storage.io", retryable=True):
    """The operating system refused to read or write the file."""


class BusyError(UnavailableError, code="storage.busy", retryable=True):
    """Too many readers, or a writer that did not finish in time."""


class SnapshotExpiredError(UnavailableError, code="snapshot.expired", retryable=True):
    """The snapshot was held longer than the limit and was let go; take a new one."""


class ProtocolError(OrmdbError, code="protocol"):
    """A message cannot be understood."""


class CorruptionError(OrmdbError, code="corruption"):
    """The bytes on disk are not what was written; restore a backup, or run `ormdb check`."""
