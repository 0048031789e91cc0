"""The face: typed classes, typed queries, result objects, and text to expressions.

    declaration  what a class declares, as data        fields     the descriptors in its body
    annotation   Python types <-> field types          body       reading a class body
    column       columns, predicates, orders           entity     Entity and its metaclass
    clauses      where, order_by, select               drafts     objects to insert
    relation     includes, paths, keys                 objects    frozen row objects
    query        immutable typed queries               result     an answer, as objects
    parameter    values given when a query runs        prepared   a query with such values
    build        classes -> SchemaBundle               members    SchemaBundle -> declarations
    findings     mistakes, told at once                dynamic    SchemaBundle -> classes
    spelling     queries as text, for reprs            source     SchemaBundle -> Python source
    face         what a database offers to type        expression_text   text <-> expressions

Everything here makes `ormdb.ir` values and reads `ormdb.session` answers; nothing knows an engine.
"""

from __future__ import annotations

from ormdb.model.annotation import Json
from ormdb.model.build import build_bundle
from ormdb.model.column import Assignment, Column, OptionalColumn, Order, Predicate
from ormdb.model.declaration import entity_name
from ormdb.model.drafts import row_of
from ormdb.model.dynamic import classes_from_bundle
from ormdb.model.entity import Entity
from ormdb.model.face import TypedReader, TypedSession, TypedWriter
from ormdb.model.fields import (
    Field,
    Many,
    One,
    check,
    desc,
    expression,
    field,
    index,
    many,
    now,
    one,
    sequence,
    uuid7,
)
from ormdb.model.parameter import param
from ormdb.model.prepared import Prepared, PreparedTable
from ormdb.model.query import Query
from ormdb.model.relation import Inclusion, Key, OptionalToOne, Path, ToMany, ToOne
from ormdb.model.result import Result
from ormdb.model.source import python_source
from ormdb.model.term import Parameter

__all__ = [
    # declare
    "Entity",
    "Field",
    "Json",
    "Many",
    "One",
    "check",
    "desc",
    "expression",
    "field",
    "index",
    "many",
    "now",
    "one",
    "sequence",
    "uuid7",
    # ask
    "Assignment",
    "Column",
    "Inclusion",
    "Key",
    "OptionalColumn",
    "OptionalToOne",
    "Order",
    "Parameter",
    "Path",
    "Predicate",
    "Prepared",
    "PreparedTable",
    "Query",
    "ToMany",
    "ToOne",
    "param",
    # answer
    "Result",
    # for those who offer it
    "TypedReader",
    "TypedSession",
    "TypedWriter",
    "build_bundle",
    "classes_from_bundle",
    "entity_name",
    "python_source",
    "row_of",
]
