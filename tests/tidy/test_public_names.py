"""The public names of the package: pinned, so that adding or losing one is a decision."""

from __future__ import annotations

import importlib
from types import ModuleType

PUBLIC_NAMES: dict[str, tuple[str, ...]] = {
    "ormdb": (
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
    ),
    "ormdb.testing": ("assert_max_queries",),
}


def read_names(module: ModuleType) -> tuple[str, ...]:
    return tuple(getattr(module, "__all__", ()))


def test_the_public_names_are_the_pinned_ones() -> None:
    found = {name: sorted(read_names(importlib.import_module(name))) for name in PUBLIC_NAMES}
    assert found == {name: sorted(names) for name, names in PUBLIC_NAMES.items()}


def test_every_public_name_is_there() -> None:
    for name in PUBLIC_NAMES:
        module = importlib.import_module(name)
        assert not [each for each in read_names(module) if not hasattr(module, each)]
