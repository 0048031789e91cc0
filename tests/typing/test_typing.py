"""Type checkers accept correct uses of the face and refuse wrong ones, without a plugin."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ormdb.model import build_bundle, python_source
from tests.typing.shop import Airport, Flight, Log, Plane, Visit

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CORRECT = HERE / "correct.py"
SHOP = HERE / "shop.py"
WRONG = HERE / "wrong" / "uses.py"
MYPY_LINE = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+): error: ")


def write_source(folder: Path) -> Path:
    """The shop's schema as Python source, which has to be as well typed as the shop itself."""
    path = folder / "generated.py"
    entities = (Airport, Plane, Log, Visit, Flight)
    path.write_text(python_source(build_bundle(entities, doc="A shop of planes.")))
    return path


def mypy_errors(folder: Path) -> set[tuple[str, int]]:
    """Where mypy --strict finds errors; the configuration of the project adds rules of its own."""
    settings = folder / "mypy.ini"
    settings.write_text("[mypy]\nnamespace_packages = true\nexplicit_package_bases = true\n")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file", str(settings)),
            *("--follow-imports=silent", "--no-error-summary", "--hide-error-context"),
            *(f"--cache-dir={ROOT / '.mypy_cache' / 'typing'}", "--python-version=3.11"),
            *(str(path) for path in (SHOP, CORRECT, WRONG, write_source(folder))),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in {0, 1}, run.stdout + run.stderr
    found = [match for line in run.stdout.splitlines() if (match := MYPY_LINE.match(line))]
    return {(Path(match["file"]).name, int(match["line"])) for match in found}


def pyright_errors(folder: Path) -> set[tuple[str, int]]:
    """Where pyright finds errors in strict mode."""
    paths = (SHOP, CORRECT, WRONG, write_source(folder))
    settings = {
        "include": [os.path.relpath(path, folder) for path in paths],
        "extraPaths": [str(ROOT)],
        "pythonVersion": "3.11",
        "typeCheckingMode": "strict",
        # The wrong uses are statements for their own sake.
        "reportUnusedExpression": False,
    }
    project = folder / "pyrightconfig.json"
    project.write_text(json.dumps(settings))
    run = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--project", str(project)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in {0, 1}, run.stdout + run.stderr
    found = json.loads(run.stdout)["generalDiagnostics"]
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1)
        for one in found
        if one["severity"] == "error"
    }


@pytest.mark.parametrize("errors", [mypy_errors, pyright_errors])
def test_a_checker_refuses_exactly_the_lines_that_are_marked_wrong(
    errors: Callable[[Path], set[tuple[str, int]]], tmp_path: Path
) -> None:
    pytest.importorskip("mypy", reason="the type checkers are not installed")
    pytest.importorskip("pyright", reason="the type checkers are not installed")
    lines = WRONG.read_text().splitlines()
    wrong = {(WRONG.name, number) for number, line in enumerate(lines, 1) if "# wrong:" in line}

    assert len(wrong) >= 18
    assert errors(tmp_path) == wrong
