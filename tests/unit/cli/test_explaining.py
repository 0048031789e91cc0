"""Holds what `explain` prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ormdb import Explanation
from tests.unit.cli.conftest import Run

ARGUMENTS = ("flight", "--where", "dep_delay > 0", "--order", "-dep_delay", "--include", "airport")
TREE = """\
flight at commit 2, schema version 1: 2 engine calls planned
│  way      index by_delay (dep_delay > ?), in order, backwards
│  filter   dep_delay > ?
│  order    dep_delay desc, as by_delay has it backwards
│  estimate 1 row
│  calls    1
└─ airport: airport
      way      to one, over flight.airport by row key
      estimate 1 row
      calls    1
"""


def test_explain_prints_the_plan_of_a_fetch(run: Run, database: Path) -> None:
    ran = run("explain", database, *ARGUMENTS)
    assert (ran.code, ran.out, ran.err) == (0, TREE, "")


def test_explain_runs_the_fetch_when_it_is_told_to(run: Run, database: Path) -> None:
    ran = run("explain", database, *ARGUMENTS, "--limit", 1, "--analyze")
    assert "actual   1 of 1 row kept, 0 edges, 1 call, 2 keys" in ran.out
    assert "page     the first 1" in ran.out
    assert "budget   depth 1 of 12" in ran.out


@pytest.mark.parametrize("options", [(), ("--analyze",)])
def test_explain_prints_json_that_reads_back(
    run: Run, database: Path, options: tuple[str, ...]
) -> None:
    ran = run("explain", database, *ARGUMENTS, "--json", *options)
    assert json.loads(ran.out)["format"] == 1
    found = Explanation.from_json(ran.out)
    assert found.engine_calls == 2
    assert (found.totals is None) == (not options)


def test_explain_takes_a_file_that_defines_a_query(
    run: Run, database: Path, tmp_path: Path
) -> None:
    path = tmp_path / "late.py"
    path.write_text(
        "from ormdb.ir.graph import GraphQuery, Page\n"
        "query = GraphQuery(entity='airport', page=Page(limit=2))\n".replace("\\\n", "\n")
    )
    ran = run("explain", database, path)
    assert ran.out.startswith("airport at commit 2")
    ran = run("explain", database, path, "--limit", 3)
    assert ran.code == 1
    assert "leave out the options" in ran.err


def test_explain_refuses_what_fetch_refuses(run: Run, database: Path) -> None:
    ran = run("explain", database, "nothing")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: the schema has no entity 'nothing'")
