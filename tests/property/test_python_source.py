"""Holds that a schema written as Python, or made into classes, builds the same schema again."""

from __future__ import annotations

import ast
import keyword
import sys
import tempfile
import types
from collections.abc import Generator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ormdb.ir.canonical import encode_node
from ormdb.ir.schema import RelationDef, SchemaBundle
from ormdb.model.build import build_bundle
from ormdb.model.dynamic import classes_from_bundle
from ormdb.model.members import USED_NAMES, Names, identifier
from ormdb.model.source import python_source
from ormdb.testing.schema_strategies import bundles

FEW = settings(max_examples=60)


@contextmanager
def imported(source: str) -> Generator[Any]:
    """The module that the source makes; annotations look it up by its name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "schema.py"
        path.write_text(source, encoding="utf-8")
        loader = SourceFileLoader("schema_under_test", str(path))
        module = types.ModuleType(loader.name)
        sys.modules[module.__name__] = module
        try:
            loader.exec_module(module)
            yield module
        finally:
            del sys.modules[module.__name__]


def by_class(bundle: SchemaBundle) -> SchemaBundle:
    """The bundle with relations in the order in which classes declare them."""
    position = {entity.name: number for number, entity in enumerate(bundle.entities)}

    def source(relation: RelationDef) -> int:
        return position[relation.source]

    return SchemaBundle(
        entities=bundle.entities,
        relations=tuple(sorted(bundle.relations, key=source)),
        throughs=tuple(sorted(bundle.throughs, key=lambda through: position[through.entity])),
        doc=bundle.doc,
    )


@FEW
@given(bundles())
def test_the_source_builds_the_schema_again(bundle: SchemaBundle) -> None:
    source = python_source(bundle)
    with imported(source) as module:
        again = build_bundle(module.SCHEMA, doc=getattr(module, "SCHEMA_DOC", ""))
    assert again == by_class(bundle)
    assert encode_node(again) == encode_node(by_class(bundle))
    assert python_source(again) == python_source(by_class(bundle))


@FEW
@given(bundles())
def test_the_classes_build_the_schema_again(bundle: SchemaBundle) -> None:
    classes = classes_from_bundle(bundle)
    assert list(classes) == [entity.name for entity in bundle.entities]
    assert build_bundle(list(classes.values()), doc=bundle.doc) == by_class(bundle)


@FEW
@given(bundles(odd=False))
def test_plain_names_stay_as_they_are(bundle: SchemaBundle) -> None:
    names = Names(bundle)

    def is_taken(name: str) -> bool:
        return keyword.iskeyword(name) or name in USED_NAMES

    for entity in bundle.entities:
        assert names.classes[entity.name] == entity.name or is_taken(entity.name)
        for field in entity.fields:
            attribute = names.member(entity.name, field.name)
            assert attribute == field.name or field.name in names.classes or is_taken(field.name)


@given(st.text(max_size=12), st.lists(st.text(max_size=4), max_size=3))
def test_an_identifier_is_one_that_python_keeps(name: str, others: list[str]) -> None:
    found = identifier(name, USED_NAMES, others)
    assert found.isidentifier()
    assert not keyword.iskeyword(found)
    assert found not in USED_NAMES
    assert found == name or found not in others
    assert not found.startswith("__")
    # Python reads identifiers in this form, so that any other would be another name.
    read = ast.parse(found, mode="eval").body
    assert isinstance(read, ast.Name)
    assert read.id == found
