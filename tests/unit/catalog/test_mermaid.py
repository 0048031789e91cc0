"""Holds that diagrams say what the schema says, in lines that Mermaid's grammar allows."""

from __future__ import annotations

import re

from hypothesis import given, settings

from ormdb.catalog.mermaid import bundle_to_mermaid
from ormdb.catalog.text import bundle_from_text
from ormdb.ir.schema import SchemaBundle
from ormdb.testing.schema_strategies import bundles

WORD = r"[A-Za-z][A-Za-z0-9_]*"
TEXT = r'"[^"%\\\n]*"'
LINE = re.compile(
    rf"erDiagram|  {WORD}(\[{TEXT}\])? {{|    {WORD} {WORD}( (PK|FK|UK)(, (PK|FK|UK))*)?( {TEXT})?"
    rf"|  }}|  {WORD} [}}|]o(--|\.\.)(\|\||o\||o{{) {WORD} : {TEXT}"
)


def test_a_schema_is_drawn_with_its_keys_and_both_names_of_its_relations() -> None:
    text = """ormdb schema 1
entity Airport
  identity faa
  faa: text(3)
  code: text?
  unique index c on code
entity "class"
  identity id
  id: int
  "first name": text computed lower(last)
  last: text
  at: text
  near: text?
  1st: int
relation "class".origin (at) -> Airport (faa)
  inverse flights
relation "class".other (near) -> Airport (faa)
  not enforced
""".replace("  1st: int", '  "1st": int')
    assert bundle_to_mermaid(bundle_from_text(text)).splitlines() == [
        "erDiagram",
        "  Airport {",
        '    text faa PK "text(3)"',
        '    text code UK "optional"',
        "  }",
        '  entity_1["class"] {',
        "    int id PK",
        '    text first_name "first name, computed"',
        "    text last",
        "    text at FK",
        '    text near FK "optional"',
        '    int f_1st "1st"',
        "  }",
        '  entity_1 }o--|| Airport : "origin / flights"',
        '  entity_1 }o..o| Airport : "other"',
    ]


def test_what_the_grammar_keeps_for_itself_is_written_otherwise() -> None:
    text = """ormdb schema 1
entity "100% \\"#\\""
  identity PK
  PK: int
  "a\\\\b": int
"""
    assert bundle_to_mermaid(bundle_from_text(text)).splitlines() == [
        "erDiagram",
        '  entity_1["100#37; #quot;#35;#quot;"] {',
        '    int f_PK PK "PK"',
        '    int a_b "a#92;b"',
        "  }",
    ]


@settings(max_examples=40)
@given(bundles())
def test_every_line_has_a_form_that_the_grammar_allows(bundle: SchemaBundle) -> None:
    for line in bundle_to_mermaid(bundle).splitlines():
        assert LINE.fullmatch(line), line
