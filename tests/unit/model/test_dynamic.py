"""A schema without classes gets classes that work like written ones."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from ormdb.errors import NotLoadedError
from ormdb.ir.schema import (
    EntityDef,
    FieldDef,
    IndexDef,
    IndexField,
    RelationDef,
    SchemaBundle,
)
from ormdb.ir.value import IntType, StructField, StructType, TextType
from ormdb.model.build import build_bundle
from ormdb.model.drafts import row_of
from ormdb.model.dynamic import classes_from_bundle
from ormdb.model.result import root_node
from tests.unit.model.sample import SCHEMA, Airport, blocks

BUNDLE = build_bundle(SCHEMA, doc="Flights.")
ODD = SchemaBundle(
    entities=(
        EntityDef(
            name="class of '92",
            fields=(
                FieldDef(name="def", type=IntType(), optional=True),
                FieldDef(name="limit", type=IntType()),
                FieldDef(name="__id__", type=IntType()),
                FieldDef(name="1st", type=TextType()),
                FieldDef(name="def_", type=IntType()),
                FieldDef(
                    name="home",
                    type=StructType(fields=(StructField(name="house no", type=TextType()),)),
                    optional=True,
                ),
            ),
            identity=("__id__",),
            indexes=(IndexDef(name="x", fields=(IndexField(field="1st", descending=True),)),),
        ),
    ),
    relations=(
        RelationDef(
            name="import",
            source="class of '92",
            fields=("def",),
            target="class of '92",
            target_fields=("__id__",),
            inverse="from",
            enforced=False,
        ),
    ),
)


@pytest.mark.parametrize("bundle", [BUNDLE, ODD])
def test_the_classes_build_the_bundle_again(bundle: SchemaBundle) -> None:
    classes = classes_from_bundle(bundle)
    assert list(classes) == [entity.name for entity in bundle.entities]
    assert build_bundle(list(classes.values()), doc=bundle.doc) == bundle


def test_numbers_of_a_stored_bundle_are_left_out() -> None:
    numbered = dataclasses.replace(
        BUNDLE,
        version=3,
        entities=tuple(dataclasses.replace(one, id=n) for n, one in enumerate(BUNDLE.entities)),
    )
    assert build_bundle(list(classes_from_bundle(numbered).values()), doc=BUNDLE.doc) == BUNDLE


def test_one_bundle_gives_the_same_classes_every_time() -> None:
    again = build_bundle(SCHEMA, doc="Flights.")
    assert classes_from_bundle(again) == classes_from_bundle(BUNDLE)
    assert classes_from_bundle(BUNDLE)["Airport"] is not Airport


def test_names_that_python_cannot_spell_are_found_both_ways() -> None:
    kind: Any = classes_from_bundle(ODD)["class of '92"]
    assert kind.__name__ == "class_of__92"
    made = kind(def__=1, limit_=2, n_id__=3, n_1st="a", def_=4)
    assert row_of(made) == {"def": 1, "limit": 2, "__id__": 3, "1st": "a", "def_": 4}
    assert (made.limit, getattr(made, "def"), made.def_) == (2, 1, 4)
    assert kind.limit(3).ir.page.limit == 3
    assert kind.limit_.path == ("limit",)
    assert kind.where(kind.import_[kind.def_] == 2).ir.entity == "class of '92"


def test_objects_of_such_classes_survive_pickling() -> None:
    classes = classes_from_bundle(BUNDLE)
    jfk: Any = root_node(blocks(), classes["Airport"], classes.__getitem__).objects[0]
    again: object = pickle.loads(pickle.dumps(jfk))
    read: Any = again
    assert again == jfk
    assert isinstance(again, classes["Airport"])
    assert read.departures[0].plane == jfk.departures[0].plane
    assert pickle.loads(pickle.dumps(classes["Plane"])) is classes["Plane"]
    with pytest.raises(NotLoadedError):
        _ = read.departures[0].tailnum


def test_a_struct_reads_as_an_object_with_its_parts() -> None:
    kind: Any = classes_from_bundle(ODD)["class of '92"]
    made = kind(limit_=2, n_id__=3, n_1st="a", def_=4, home={"house no": "7"})
    assert made.home.house_no == "7"
    assert row_of(kind(limit_=2, n_id__=3, n_1st="a", def_=4, home=made.home))["home"] == {
        "house no": "7"
    }
