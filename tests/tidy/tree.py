"""The files of the project as the tidy tests see them: tracked, or new and not ignored."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent.parent
CODE_FOLDERS = ("ormdb", "tests", "benches", "examples")
TEXT_SUFFIXES = frozenset(
    {".py", ".pyi", ".md", ".toml", ".txt", ".yaml", ".yml", ".cfg", ".sh", ""}
)
UNTIDY_ON_PURPOSE = "tests/typing/wrong/"  # programs that type checkers must refuse


@dataclass(frozen=True, slots=True)
class Source:
    """One file: where it lies, what it says, and what the tree around it holds."""

    path: str
    text: str
    tree_paths: frozenset[str] = frozenset()

    @property
    def is_code(self) -> bool:
        return self.path.endswith(".py")

    @property
    def is_engine(self) -> bool:
        return self.is_code and self.path.startswith("ormdb/")

    @property
    def is_test(self) -> bool:
        return self.is_code and PurePosixPath(self.path).name.startswith("test_")

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def nodes(self) -> Iterator[ast.AST]:
        """Every node of the file's syntax tree."""
        return ast.walk(_parse(self.text))

    @property
    def docstring(self) -> str:
        return ast.get_docstring(_parse(self.text)) or ""


@cache
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def read_tree() -> tuple[Source, ...]:
    """Every text file of the project."""
    paths = sorted(path for path in _list_paths() if (ROOT / path).is_file())
    known = frozenset(paths)
    return tuple(
        Source(path, (ROOT / path).read_text(encoding="utf-8"), known)
        for path in paths
        if PurePosixPath(path).suffix in TEXT_SUFFIXES and not path.startswith(UNTIDY_ON_PURPOSE)
    )


def read_documents() -> list[Source]:
    """The Markdown files."""
    return [source for source in read_tree() if source.path.endswith(".md")]


def _list_paths() -> list[str]:
    if not (ROOT / ".git").exists():  # an unpacked archive holds what was tracked
        files = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        return [path.as_posix() for path in files if not path.parts[0].startswith(".venv")]
    # Another user may own the clone, as in a container; reading names of files is harmless.
    command = ["git", "-c", "safe.directory=*", "ls-files"]
    options = ["--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command + options, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
