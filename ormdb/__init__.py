"""ormdb: an embedded database that answers graph fetches.

    with ormdb.open("flights.ormdb", schema=[Airport, Flight]) as db:
        db.fetch(Airport.where(Airport.faa == "JFK").include(Airport.departures))

What is listed in `__all__` is public; every module below is private by convention.
"""

from __future__ import annotations

from ormdb import errors
from ormdb.database.changes import RowChange
from ormdb.database.database import Database
from ormdb.database.deleted import DeletedRow
from ormdb.database.figures import DatabaseStatistics
from ormdb.database.maintenance import restore
from ormdb.database.opening import open_database as open  # noqa: A004  # as in gzip.open, shelve.open
from ormdb.database.reading import Snapshot
from ormdb.database.writing import Transaction
from ormdb.errors import OrmdbError
from ormdb.ir.deletion import DeletePreview
from ormdb.ir.explanation import Explanation
from ormdb.ir.graph import FanoutBudget
from ormdb.ir.schema import SchemaBundle
from ormdb.model.annotation import Json
from ormdb.model.column import Assignment, Column, Order, Predicate
from ormdb.model.entity import Entity
from ormdb.model.fields import (
    Field,
    Many,
    One,
    check,
    desc,
    expression,
    field,
    full_text,
    index,
    inverted,
    many,
    now,
    one,
    sequence,
    uuid7,
)
from ormdb.model.folding import count
from ormdb.model.hooks import Change, after, before, validator
from ormdb.model.parameter import param
from ormdb.model.prepared import Prepared, PreparedTable
from ormdb.model.query import Query
from ormdb.model.relation import Key
from ormdb.model.result import Result
from ormdb.model.stream import Stream
from ormdb.model.table import Table, Tabular
from ormdb.model.term import Parameter
from ormdb.observe.repeats import N1Settings
from ormdb.session import Cancellation, Context

__version__ = "0.1.0"

__all__ = [
    "Assignment",
    "Change",
    "Cancellation",
    "Column",
    "Context",
    "Database",
    "DatabaseStatistics",
    "DeletePreview",
    "DeletedRow",
    "Entity",
    "Explanation",
    "FanoutBudget",
    "Field",
    "Json",
    "Key",
    "Many",
    "N1Settings",
    "One",
    "Order",
    "OrmdbError",
    "Parameter",
    "Predicate",
    "Prepared",
    "PreparedTable",
    "Query",
    "Result",
    "RowChange",
    "SchemaBundle",
    "Snapshot",
    "Stream",
    "Table",
    "Tabular",
    "Transaction",
    "__version__",
    "after",
    "before",
    "check",
    "count",
    "desc",
    "errors",
    "expression",
    "field",
    "full_text",
    "index",
    "inverted",
    "many",
    "now",
    "one",
    "open",
    "param",
    "restore",
    "sequence",
    "uuid7",
    "validator",
]
