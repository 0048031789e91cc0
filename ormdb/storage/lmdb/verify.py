"""A walk over every page of a file at rest, without mapping it.

    verify_file("flights.ormdb")  ->  ["'rows/3' DB: page 71 header stores pgno 70", …]

LMDB's own walker is pure Python and reads the file as bytes, so that no file can harm the
process.  It proves the structure (pages, order of keys, counts, free pages), not the rows: those
carry checksums of their own.  It needs a file that nobody writes to meanwhile.

The walker is stricter than LMDB in one place: a large value that is overwritten by a smaller one
in the same transaction keeps the pages of the larger one, and they are its own.

Invariants (held by tests/unit/storage/test_lmdb_damage.py):
  1. A file that no process has open and that nothing damaged has no problems.
  2. A file cut anywhere inside a page in use has one.
"""

from __future__ import annotations

import importlib
import struct
from pathlib import Path
from typing import Any, Final

_module = importlib.import_module("lmdb.verify")  # it has no annotations
_REFUSED: Final[type[Exception]] = _module.VerifyError
_NUMBER = struct.Struct("<Q")
_PAGE_COUNT = struct.Struct("<12xI")  # of a large value, where other pages have their bounds


def verify_file(path: str) -> list[str]:
    """Every problem found in the structure of the file, in words; takes 30 s for a GiB."""
    with Path(path).open("rb") as file:
        try:
            walker = _module._Verifier(file, Path(path).stat().st_size)
            _allow_spare_pages(walker)
            return [str(problem) for problem in walker.verify()]
        except _REFUSED as error:
            return [str(error)]


def _allow_spare_pages(walker: Any) -> None:
    """Let large values have more pages than they need, as long as these are theirs alone."""
    strictly = walker._bigdata

    def look_at_large_value(context: dict[str, Any], *place: Any, **how: Any) -> bytes | None:
        errors: list[str] = walker.errors
        before = len(errors)
        found: bytes | None = strictly(context, *place, **how)
        (complaint,) = errors[before:] if len(errors) == before + 1 else ("",)
        if "header mp_pages" in complaint:
            _, _, buffer, at, size = place[:5]
            (first,) = _NUMBER.unpack_from(buffer, at)
            (has,) = _PAGE_COUNT.unpack_from(walker.read_page(first))
            needs = (walker.hdrsz - 1 + size) // walker.psize + 1
            if needs < has and first + has <= walker.next_pgno:
                errors.pop()
                context["overflow"] += has - needs
                for page in range(first + needs, first + has):
                    walker._mark_live(page, f"{context['name']} DB overflow")
        return found

    walker._bigdata = look_at_large_value
