"""The documents are complete and true: codes, limits, links, and examples that run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ormdb.errors import OrmdbError
from tests.tidy.documents import (
    Block,
    compare_error_codes,
    find_bare_limits,
    find_broken_links,
    find_changelog_faults,
    read_blocks,
)
from tests.tidy.tree import ROOT, Source, read_documents, read_tree

EXAMPLE_LINES_MAX = 30
BLOCKS = [block for source in read_documents() for block in read_blocks(source)]
RUNNABLE = [block for block in BLOCKS if block.runs]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def run_program(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program as a reader would, in an empty folder."""
    script = folder / "example.py"
    script.write_text(code, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_every_error_code_is_documented_and_every_documented_code_exists() -> None:
    assert not list(compare_error_codes(read("docs/errors.md"), OrmdbError.by_code))


def test_every_error_is_documented_under_the_name_of_its_class() -> None:
    text = read("docs/errors.md")
    for code, kind in OrmdbError.by_code.items():
        assert f"## `{code}`\n\n`{kind.__name__}`, a kind of `{kind.__mro__[1].__name__}`" in text


def test_every_limit_says_why_it_is_what_it_is() -> None:
    assert not list(find_bare_limits(read("ormdb/limits.py")))


def test_every_limit_bounds_something() -> None:
    code = [s.text for s in read_tree() if s.is_engine and s.path != "ormdb/limits.py"]
    words = set(re.findall(r"\b[A-Z_]{4,}\b", " ".join(code)))
    names = set(re.findall(r"^([A-Z_]+): Final", read("ormdb/limits.py"), re.MULTILINE))
    assert names <= words


def test_every_command_of_make_is_on_the_page_of_commands() -> None:
    page = read("docs/HACKING.md")
    commands = re.findall(r"^([a-z]+):.*## ", read("Makefile"), re.MULTILINE)
    assert commands
    assert not [name for name in commands if f"`make {name}" not in page]


def test_every_link_between_documents_leads_somewhere() -> None:
    assert not [fault for source in read_documents() for fault in find_broken_links(source)]


def test_every_module_that_a_document_names_exists() -> None:
    for source in read_documents():
        for path in re.findall(r"`(ormdb/[\w/]+\.py|tests/[\w/]+\.py)`", source.text):
            assert path in source.tree_paths, f"{source.path} names {path}"


def test_the_changelog_keeps_its_form() -> None:
    assert not list(find_changelog_faults(read("CHANGELOG.md")))


@pytest.mark.parametrize("block", RUNNABLE, ids=lambda block: f"{block.path}:{block.line}")
def test_a_block_marked_as_runnable_runs(block: Block, tmp_path: Path) -> None:
    done = run_program(block.code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_readme_holds_one_runnable_example_of_at_most_thirty_lines() -> None:
    (example,) = [block for block in RUNNABLE if block.path == "README.md"]
    assert len(example.code.splitlines()) <= EXAMPLE_LINES_MAX


def test_missing_invented_and_unfinished_error_sections_are_found() -> None:
    text = "# Errors\n\n## `a`\n\n**Meaning.** x **Usual cause.** y\n\n## `b`\n\ntext\n"
    found = " | ".join(compare_error_codes(text, ["a", "c"]))
    assert "c is not documented" in found
    assert "b is documented and does not exist" in found
    assert "a does not say its **Remedy.**" in found


def test_a_limit_without_a_reason_is_found() -> None:
    text = "# --- keys ---\nA_MAX: Final = 5\n# why\nB_MAX: Final = 6\nC_MAX: Final = 7  # why\n"
    assert list(find_bare_limits(text)) == ["A_MAX does not say why it is 5"]


def test_a_link_that_leads_nowhere_is_found() -> None:
    text = "[a](b.md) [c](../d) [e](https://example.com) [f](#g) [h](gone.md#i)"
    source = Source("docs/x.md", text, frozenset({"docs/b.md", "d/y.py"}))
    assert list(find_broken_links(source)) == ["docs/x.md: leads to gone.md, which does not exist"]


def test_an_odd_changelog_section_is_found() -> None:
    assert len(list(find_changelog_faults("# Changelog\n### Improvements\n"))) == 2


def test_only_blocks_with_the_mark_are_runnable() -> None:
    text = "a\n\n```python run\nx = 1\n```\n\n```python\ny = 1\n```\n"
    assert [(b.line, b.runs, b.code) for b in read_blocks(Source("x.md", text))] == [
        (3, True, "x = 1\n"),
        (7, False, "y = 1\n"),
    ]


def test_a_runnable_block_that_fails_is_noticed(tmp_path: Path) -> None:
    assert run_program("import ormdb\nassert not ormdb\n", tmp_path).returncode != 0
