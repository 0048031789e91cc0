"""A walk over every page of a file at rest, without mapping it.

    verify_file("flights.ormdb")  ->  ["'rows/3' DB: page 71 header stores pgno 70", …]

LMDB's own walker is pure Python and reads the file as bytes, so that no file can harm the
process.  It proves the structure (pages, order of keys, counts, free pages), not the rows: those
carry checksums of their own.  It needs a file that nobody writes to meanwhile.

The walker is stricter than LMDB in one place: a large value that is overwritten by a smaller one
in the same transaction keeps the pages of the larger one, and they are its own.  In another place
it is not strict enough: it walks to keys that no search would find.

    page 67, inner     "" -> page 70    "m" -> page 71      a search for "k" goes to page 70
    page 70, 71        "a" … "k"        "m" … "z"           were "m" a "b", it would go to page 71

Invariants (held by tests/unit/storage/test_lmdb_damage.py):
  1. A file that no process has open and that nothing damaged has no problems.
  2. A file cut anywhere inside a page in use has one.
  3. So has a file in which a key cannot be found from the root.
"""

from __future__ import annotations

import importlib
import struct
from pathlib import Path
from typing import Any, Final

_module = importlib.import_module("lmdb.verify")  # it has no annotations
_REFUSED: Final[type[Exception]] = _module.VerifyError
_NUMBER = struct.Struct("<Q")
_NODE = struct.Struct("<HHHH")  # page low, page high, page top, key bytes
_DUPLICATES_ONLY: Final = 0x20  # a leaf without nodes, of keys one after another
_PAGE_COUNT = struct.Struct("<12xI")  # of a large value, where other pages have their bounds


def verify_file(path: str) -> list[str]:
    """Every problem found in the structure of the file, in words; takes 30 s for a GiB."""
    with Path(path).open("rb") as file:
        try:
            walker = _module._Verifier(file, Path(path).stat().st_size)
            _allow_spare_pages(walker)
            _search_for_keys(walker)
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


def _search_for_keys(walker: Any) -> None:
    """See that separators tell the keys of every page from those of the page before it."""
    walk_branch, walk_page = walker._walk_branch, walker._walk_page
    walk_leaf, walk_duplicates = walker._walk_leaf, walker._walk_leaf2
    leading: dict[int, bytes] = {}  # by page, the separator that leads to it

    def look_at_branch(context: dict[str, Any], number: int, page: bytes, depth: int) -> None:
        leading.update(_separators(walker, page))
        walk_branch(context, number, page, depth)

    def look_at_page(context: dict[str, Any], number: int, depth: int) -> None:
        separator = leading.pop(number, None)
        if separator is not None:
            before = context["last_key"]
            if before is not None and context["key_cmp"](separator, before) <= 0:
                walker.err(f"{context['name']} DB: keys before page {number} lead to it")
            context["least"] = separator  # of the first key that is met
        walk_page(context, number, depth)

    def look_at_leaf(context: dict[str, Any], number: int, page: bytes) -> None:
        least, first = context.pop("least", None), _first_key(walker, page)
        if least is not None and first is not None and context["key_cmp"](first, least) < 0:
            walker.err(f"{context['name']} DB: keys of page {number} do not lead to it")
        is_leaf2 = walker._pg_flags(page, 0) & _DUPLICATES_ONLY
        (walk_duplicates if is_leaf2 else walk_leaf)(context, number, page)

    walker._walk_branch, walker._walk_page = look_at_branch, look_at_page
    walker._walk_leaf = walker._walk_leaf2 = look_at_leaf


def _separators(walker: Any, page: bytes) -> dict[int, bytes]:
    """The separator before each child but the first; what lies outside of the page is left out,
    for the walker complains of it."""
    found: dict[int, bytes] = {}
    for node in range(1, walker._numkeys(walker._pg_lower(page, 0))):
        at = walker._node_off(page, 0, node) if walker.hdrsz + 2 * node + 2 <= len(page) else -1
        if 0 <= at <= len(page) - _NODE.size:
            low, high, top, key_bytes = _NODE.unpack_from(page, at)
            found[low | high << 16 | top << 32] = page[at + _NODE.size :][:key_bytes]
    return found


def _first_key(walker: Any, page: bytes) -> bytes | None:
    """The first key of a leaf, if it has one that lies inside of it."""
    start: int = walker.hdrsz
    if walker._numkeys(walker._pg_lower(page, 0)) < 1:
        return None
    if walker._pg_flags(page, 0) & _DUPLICATES_ONLY:
        return page[start : start + walker._pg_pad(page, 0)]
    at = walker._node_off(page, 0, 0)
    if at > len(page) - _NODE.size:
        return None
    key_bytes: int = _NODE.unpack_from(page, at)[3]
    return page[at + _NODE.size :][:key_bytes]
