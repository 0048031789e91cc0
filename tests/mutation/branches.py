"""Which branches of `ormdb/query` its own tests take; fails below 95 per cent of them.

    $ make coverage-query
    …
    ormdb/query/seek.py     62   2   20   2   95%   67, 70
    branches taken: 1,862 of 1,886, 98.7 %

Only branches count for the figure: a line that runs says less than both ways out of it.  The
seeded suites run a few named seeds each, so that two runs give the same figure.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

import click
import coverage
import pytest

from tests.mutation.suites import ARGUMENTS, COMPILER_SUITES, PACKAGE, ROOT, SUITES, environment

BRANCHES_MIN: Final = 95.0  # per cent
SEEDS: Final = "0-2"  # of every seeded suite


def main() -> None:
    """Run the tests, print what they do not reach, and the figure."""
    os.environ.update(environment(SEEDS))
    measured = coverage.Coverage(
        data_file=None,
        branch=True,
        source=[str(ROOT / PACKAGE)],
        config_file=str(ROOT / "pyproject.toml"),
    )
    with measured.collect():
        code = pytest.main([*SUITES, *COMPILER_SUITES, *ARGUMENTS])
    if code != pytest.ExitCode.OK:
        sys.exit(int(code))
    measured.report(show_missing=True, skip_covered=True)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "coverage.json"
        measured.json_report(outfile=str(written))
        totals = json.loads(written.read_text(encoding="utf-8"))["totals"]
    taken, branches = totals["covered_branches"], totals["num_branches"]
    share = 100 * taken / branches
    click.echo(f"branches taken: {taken:,} of {branches:,}, {share:.1f} %")
    sys.exit(share < BRANCHES_MIN)


if __name__ == "__main__":
    main()
