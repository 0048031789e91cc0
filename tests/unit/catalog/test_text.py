"""Holds the text form of schemas: the documented example, every construct, every refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from ormdb.catalog.text import bundle_from_text, bundle_to_text
from ormdb.catalog.validate import validate
from ormdb.errors import SchemaError
from ormdb.ir.schema import (
    Computed,
    EntityDef,
    FieldDef,
    IndexDef,
    IndexField,
    LiteralDefault,
    RelationDef,
    SchemaBundle,
    SequenceDefault,
)
from ormdb.ir.value import DecimalType, IntType, TextType
from ormdb.model.expression_text import parse_expression

PAGE = Path(__file__).parents[3] / "docs" / "formats" / "schema_text.md"


def example() -> str:
    """The example of the documentation: its first block of code."""
    lines = PAGE.read_text(encoding="utf-8").split("\n\n    ormdb schema 1\n", 1)[1].splitlines()
    body: list[str] = []
    for line in lines:
        if line and not line.startswith("    "):
            break
        body.append(line[4:])
    return "ormdb schema 1\n" + "\n".join(body).rstrip() + "\n"


def test_the_documented_example_reads_and_writes_as_it_stands() -> None:
    bundle = bundle_from_text(example())
    assert [entity.name for entity in bundle.entities] == ["Airport", "Flight", "stop over"]
    assert bundle_to_text(bundle) == example()
    validate(bundle)


def made_of_everything() -> SchemaBundle:
    return SchemaBundle(
        doc="Two\n\nlines",
        entities=(
            EntityDef(
                name="order",
                doc="A",
                identity=("no", "part"),
                fields=(
                    FieldDef(name="no", type=IntType(), default=SequenceDefault()),
                    FieldDef(name="part", type=TextType(max_chars=3)),
                    FieldDef(
                        name="total price",
                        type=DecimalType(precision=9, scale=2),
                        optional=True,
                        default=LiteralDefault(value=None),
                        computed=Computed(expression=parse_expression("a * b"), stored=True),
                        fill=5,
                        doc="x",
                    ),
                ),
                indexes=(
                    IndexDef(
                        name="on",
                        unique=True,
                        fields=(IndexField(field="desc", descending=True), IndexField(field="no")),
                    ),
                ),
            ),
        ),
        relations=(
            RelationDef(
                name="one",
                source="order",
                fields=("no", "part"),
                target="order",
                target_fields=("no", "part"),
                inverse="one",
                inverse_one=True,
                on_delete="set_null",
                enforced=False,
            ),
        ),
    )


def test_every_part_of_a_schema_has_its_place_in_the_text() -> None:
    made = made_of_everything()
    assert bundle_to_text(made).splitlines() == [
        "ormdb schema 1",
        'doc "Two"',
        'doc ""',
        'doc "lines"',
        "",
        "entity order",
        '  doc "A"',
        "  identity no, part",
        "  no: int = sequence",
        "  part: text(3)",
        '  "total price": decimal(9, 2)? = None',
        "    stored a * b",
        "    fill 5",
        '    doc "x"',
        "  unique index on on desc desc, no",
        "",
        "relation order.one (no, part) -> order (no, part)",
        "  inverse one one",
        "  on delete set null",
        "  not enforced",
    ]
    assert bundle_from_text(bundle_to_text(made)) == made


def test_comments_blank_lines_and_windows_line_ends_change_nothing() -> None:
    lines = [
        "# a schema",
        "",
        "ormdb schema 1 # the first",
        "   # not a field",
        "entity A  # why\r",
        "  identity id",
        '  id: int # of "it"',
        '  name: text = "#" # not a comment',
        "  check c: id > 0 # positive",
    ]
    text = "\n".join(lines)
    found = bundle_from_text(text).entities[0]
    assert [field.name for field in found.fields] == ["id", "name"]
    assert found.fields[1].default == LiteralDefault(value="#")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("entity", "line 2: column 7: the end stands where a name belongs"),
        ("entity A B", "line 2: column 10: text 'B' stands where the end of the line belongs"),
        ("table A", "stands where 'entity' or 'relation' or 'through' or 'doc' belongs"),
        ("  id: int", "line 2: the line belongs to nothing; indent under what was declared"),
        ("    fill 5", "line 2: the line belongs to no field; indent it by two spaces only"),
        ("entity A\n   id: int", "line 3: 3 spaces stand before the line; indent by 0, 2 or 4"),
        ("entity A\n  id int", "line 3: column 3: text 'id int' stands where 'doc' or 'identity'"),
        ("entity A\n  id: integer", "line 3: column 7: text 'integer' stands where a type (bool,"),
        ("entity A\n  id: int = x", "line 3: in the expression, column 1: a literal belongs here"),
        ("entity A\n  id: int computed", "line 3: the expression is empty"),
        ("entity A\n  id: int = expression a =", "line 3: in the expression, column 3: `=` is not"),
        ("entity A\n  id: int more", "line 3: column 11: text 'more' stands where the end"),
        (
            "entity A\n  doc unquoted",
            "line 3: column 7: text 'unquoted' stands where a text in \"q",
        ),
        ("entity A\n  index i id", "line 3: column 11: text 'id' stands where 'on' belongs"),
        ("entity A\n  unique i on id", "line 3: column 10: text 'i on id' stands where 'index'"),
        ("entity A\n  check c a", "line 3: column 11: text 'a' stands where ':' belongs"),
        ("entity A\n  id: int\n    default 5", "line 4: column 5: text 'default 5' stands where"),
        (
            "relation A (a) -> B (b)",
            "line 2: column 12: text '(a) -> B (b)' stands where '.'",
        ),
        (
            "relation A.b a -> B (b)",
            "line 2: column 14: text 'a -> B (b)' stands where '('",
        ),
        ("relation A.b (a) -> B (b)\n  on delete ignore", "stands where 'restrict' or 'cascade'"),
        ("through A.b -> C over D from e", "line 2: column 31: the end stands where 'to' belongs"),
        ("doc 'single'", "line 2: column 5: text \"'single'\" stands where a text in"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_with_its_number(line: str, sentence: str) -> None:
    with pytest.raises(SchemaError) as caught:
        bundle_from_text(f"ormdb schema 1\n{line}\n")
    assert sentence in caught.value.details["problems"][0]
    assert caught.value.details["problems"][0] in caught.value.message


def test_every_line_that_cannot_be_read_is_told_at_once() -> None:
    lines = ["ormdb schema 1", "entity A", "  id: integer", "  name: text", "relation"]
    text = "\n".join([*lines, "  not enforced", "entity B C"])
    with pytest.raises(SchemaError) as caught:
        bundle_from_text(text)
    numbers = [problem.split(":")[0] for problem in caught.value.details["problems"]]
    assert numbers == ["line 3", "line 5", "line 6", "line 7"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the text is empty; begin it with 'ormdb schema 1'"),
        ("# only this", "the text is empty"),
        ("entity A", "line 1: column 1: text 'entity A' stands where 'ormdb' belongs"),
        ("ormdb schema 2", "line 1: this is a schema text of another format; use 'ormdb schema 1'"),
    ],
)
def test_a_text_that_is_no_schema_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(SchemaError) as caught:
        bundle_from_text(text)
    assert caught.value.details["problems"][0].startswith(sentence)
