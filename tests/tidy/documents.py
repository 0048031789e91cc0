"""What the documents promise, as functions over their text.

    "```python run\nprint(1)\n```"   ->  a block that the tests run as a program of its own
    "[rows](formats/rows.md)"        ->  a link that must lead to a file

Invariants (held by tests/tidy/test_documents.py):
  1. Each function finds what is planted for it.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from tests.tidy.tree import Source

ERROR_PARTS: Final = ("**Meaning.**", "**Usual cause.**", "**Remedy.**")
HEADING: Final = re.compile(r"^## `([^`]+)`$", re.MULTILINE)
BLOCK: Final = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CHANGE_KINDS: Final = frozenset({"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"})


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a document."""

    path: str
    line: int
    language: str
    runs: bool
    code: str


def read_blocks(source: Source) -> list[Block]:
    """Every fenced block of a Markdown file."""
    return [
        Block(
            path=source.path,
            line=source.text.count("\n", 0, found.start()) + 1,
            language=found.group(1),
            runs=found.group(2).split() == ["run"],
            code=found.group(3),
        )
        for found in BLOCK.finditer(source.text)
    ]


def compare_error_codes(text: str, codes: Collection[str]) -> Iterator[str]:
    """Codes without a section, sections without a code, sections that leave something out."""
    parts = HEADING.split(text)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    for code in sorted(set(codes) - set(sections)):
        yield f"error code {code} is not documented"
    for code in sorted(set(sections) - set(codes)):
        yield f"error code {code} is documented and does not exist"
    for code, section in sections.items():
        for part in ERROR_PARTS:
            if part not in section:
                yield f"error code {code} does not say its {part}"


def find_bare_limits(text: str) -> Iterator[str]:
    """Bounds that have no comment beside or right above them."""
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above = (
                lines[node.lineno - 2].startswith("# ") and "# ---" not in lines[node.lineno - 2]
            )
            if "#" not in lines[node.lineno - 1] and not above:
                yield f"{node.target.id} does not say why it is {ast.unparse(node.value or node)}"


def find_broken_links(source: Source) -> Iterator[str]:
    """Links to files that are not in the tree."""
    for target in LINK.findall(source.text):
        if "://" in target:
            continue
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source.path), target))
        folder = path + "/"
        if path not in source.tree_paths and not any(
            p.startswith(folder) for p in source.tree_paths
        ):
            yield f"{source.path}: leads to {target}, which does not exist"


def find_changelog_faults(text: str) -> Iterator[str]:
    """Headings that are not those of Keep a Changelog."""
    if "\n## [Unreleased]\n" not in text:
        yield "the changelog has no section [Unreleased]"
    for heading in re.findall(r"^### (.*)$", text, re.MULTILINE):
        if heading not in CHANGE_KINDS:
            yield f"the changelog has a section {heading!r}; use {', '.join(sorted(CHANGE_KINDS))}"
