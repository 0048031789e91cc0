"""The tests that say what `ormdb/query` does: for mutants and for branches."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
PACKAGE: Final = "ormdb/query"
SUITES: Final = (
    "tests/unit/query",
    "tests/unit/database/test_index_kinds.py",
    "tests/unit/database/test_prepared.py",
    "tests/unit/database/test_stream.py",
    "tests/property/test_explain_generated.py",
    "tests/property/test_fetch_differential.py",
    "tests/property/test_index_kinds.py",
    "tests/property/test_oracles.py",
    "tests/property/test_pages_under_writes.py",
    "tests/property/test_prepared.py",
    "tests/property/test_row_cache.py",
    "tests/property/test_rules.py",
    "tests/property/test_stream.py",
    "tests/property/test_tables.py",
)
# Of the compiler alone: what its estimates and its guards are held to.
COMPILER_SUITES: Final = ("tests/property/test_estimate.py", "tests/property/test_implication.py")
# Left out: what is about large inputs, planted faults, which look for one mistake again
# and again, floors of whole runs, and what another thread or process may do at any time.
WITHOUT: Final = " and ".join(
    f"not {words}"
    for words in ("hundred", "is_found", "are_found", "take_every_way", "while_another")
)
ARGUMENTS: Final = ("-qq", "--timeout=0", "-p", "no:cacheprovider", "-k", WITHOUT)


def environment(seeds: str) -> dict[str, str]:
    """What makes every run the same: named seeds, and Hypothesis without chance."""
    return {"ORMDB_SEED": seeds, "CI": "true"}
