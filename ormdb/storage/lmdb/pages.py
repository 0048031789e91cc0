"""The pages of a file, looked at before LMDB maps it into this process.

LMDB trusts its file: a truncated one kills the process with SIGBUS, a damaged page with an
assertion.  So the pages that opening needs are read here as plain bytes first:

    page 0, 1   meta      magic, version, page size, last page, transaction, two roots
    root …      tree      the names of all spaces, down to the record of each
    record      48 bytes  flags, depth, page counts, entries, root of one space

    0                8        10      12     14                 16 …
    | page number    | pad    | flags | lower| upper            | node offsets …      nodes |
    node: | size low | size high | flags | key bytes | key … | data … |

The newer meta page wins.  Its last page may lie past the end of the file by design: pages that
were allocated and freed again by one commit are never written.  Then the whole file is walked.

Invariants (held by tests/unit/storage/test_lmdb_pages.py and test_lmdb_damage.py beside it):
  1. No file, however damaged, ends the process when it is opened.
  2. A file that LMDB wrote and that nothing damaged is never refused, also while it is written.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from ormdb.errors import CorruptionError, FormatError, OrmdbError

PAGE_HEADER_BYTES: Final = 16
META_BYTES: Final = PAGE_HEADER_BYTES + 136
PAGE_BYTES_USUAL: Final = 4_096
PAGE_BYTES_MAX: Final = 32_768
TREE_DEPTH_MAX: Final = 32
ATTEMPTS_MAX: Final = 8  # looks at a file that another process writes to meanwhile

_MAGIC: Final = 0xBEEFC0DE
_DATA_VERSION: Final = 1
_NO_PAGE: Final = 2**64 - 1
_BRANCH, _LEAF, _META = 0x01, 0x02, 0x08
_SUBDATA: Final = 0x02
_MULTIMAP: Final = 0x14  # sorted duplicates, of one width
_RECORD = struct.Struct("<IHHQQQQQ")  # pad, flags, depth, branch, leaf, overflow, entries, root
_NUMBER = struct.Struct("<Q")
_PAGE = struct.Struct("<QHHHH")  # number, pad, flags, lower, upper
_NODE = struct.Struct("<HHHH")  # size low, size high (or page), flags, key bytes
_META_HEAD = struct.Struct("<IIQQ")  # magic, version, address, map size
_META_TAIL = struct.Struct("<QQ")  # last page, transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The record of one tree: a space, the free pages, or the names of all spaces."""

    flags: int
    depth: int
    entries: int
    root: int
    pad: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What one meta page says."""

    page_bytes: int
    last_page: int
    transaction: int
    free: Tree
    main: Tree


def read_record(record: bytes) -> Tree:
    """The record that leads to a space."""
    pad, flags, depth, _, _, _, entries, root = _RECORD.unpack(record)
    return Tree(flags=flags, depth=depth, entries=entries, root=root, pad=pad)


def is_empty_file(path: str) -> bool:
    """Whether nothing was ever written to the file."""
    return Path(path).stat().st_size == 0


def check_pages(path: str) -> Meta:
    """See that the file can be opened without harm; return its newer meta page.

    Raises:
      FormatError: the file was not written by the storage engine, or by another version of it.
      CorruptionError: it was, but is truncated or damaged.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _check_until_still(_Pages(descriptor, path))
    finally:
        os.close(descriptor)


def read_metas(descriptor: int, page_bytes: int) -> list[tuple[Meta, bytes]]:
    """Both meta pages that can be read, each with its bytes."""
    head = os.pread(descriptor, 2 * page_bytes, 0)
    pages = (head[:page_bytes], head[page_bytes:])
    return [(meta, page) for page in pages if (meta := _parse_meta(page)) is not None]


def meta_pair(page: bytes, transaction: int) -> tuple[bytes, bytes]:
    """The two meta pages of a file whose only commit is the one that this page is of.

    Commits alternate between the pages, so the other one says it is of the commit before.
    """
    at = PAGE_HEADER_BYTES + _META_HEAD.size + 2 * _RECORD.size
    last_page, _ = _META_TAIL.unpack_from(page, at)
    pair: list[bytes] = []
    for number in (0, 1):
        commit = transaction if transaction % 2 == number else max(0, transaction - 1)
        tail = _META_TAIL.pack(last_page, commit)
        pair.append(_NUMBER.pack(number) + page[8:at] + tail + page[at + len(tail) :])
    return pair[0], pair[1]


def _check_until_still(pages: _Pages) -> Meta:
    """A writer may reuse a page while we look; what moved on meanwhile is looked at again."""
    for _ in range(ATTEMPTS_MAX):
        head = pages.head()
        try:
            meta = pages.newer_meta(head)
            pages.check(meta)
        except OrmdbError:
            if pages.head() == head:
                raise
        else:
            return meta
    return pages.newer_meta(pages.head())  # who writes to it has it open, so it can be opened


def _parse_meta(page: bytes) -> Meta | None:
    if len(page) < META_BYTES:
        return None
    magic, version, _, _ = _META_HEAD.unpack_from(page, PAGE_HEADER_BYTES)
    if magic != _MAGIC or version != _DATA_VERSION:
        return None
    at = PAGE_HEADER_BYTES + _META_HEAD.size
    free = read_record(page[at : at + _RECORD.size])
    main = read_record(page[at + _RECORD.size : at + 2 * _RECORD.size])
    last_page, transaction = _META_TAIL.unpack_from(page, at + 2 * _RECORD.size)
    return Meta(
        page_bytes=free.pad, last_page=last_page, transaction=transaction, free=free, main=main
    )


class _Pages:
    """One open file, read page by page."""

    def __init__(self, descriptor: int, path: str) -> None:
        self.descriptor = descriptor
        self.path = path

    def head(self) -> bytes:
        """Both meta pages, read at once, whatever their size."""
        return os.pread(self.descriptor, 2 * PAGE_BYTES_MAX, 0)

    def newer_meta(self, head: bytes) -> Meta:
        first = _parse_meta(head)
        if first is None:
            self._refuse_first(head)
        if not _is_page_size(first.page_bytes):
            raise self._damage(f"meta page 0 claims pages of {first.page_bytes} bytes")
        second = _parse_meta(head[first.page_bytes :])
        if second is None:
            raise self._damage("meta page 1 is missing or unreadable")
        if first.page_bytes != second.page_bytes:
            raise self._damage("its meta pages disagree about the page size")
        if first.transaction % 2 or (second.transaction % 2 == 0 and second.transaction):
            raise self._damage(
                f"its meta pages are of commits {first.transaction} and {second.transaction},"
                " which belong into each other's place"
            )
        # Of two that are alike LMDB takes the first: a first commit that failed leaves the second
        # one half made.
        pair = (first, second) if second.transaction > first.transaction else (second, first)
        older, newer = pair
        if newer.transaction - older.transaction > 1:
            raise self._damage(
                f"its meta pages are of commits {older.transaction} and {newer.transaction},"
                " which do not follow each other"
            )
        return newer

    def check(self, meta: Meta) -> None:
        """Everything that opening will read."""
        size = os.fstat(self.descriptor).st_size
        if meta.last_page < 1:
            raise self._damage(f"its last page is {meta.last_page}")
        if (meta.last_page + 1) * meta.page_bytes > size:
            self._check_short(meta, size)
        if meta.main.flags & 0xFF:
            raise FormatError(f"{self.path} is not an ormdb database; open another file")
        if meta.free.root != _NO_PAGE:
            self._page(meta, meta.free.root)
        names = list(self._walk(meta, meta.main.root, meta.main.depth))
        if sorted(set(names)) != names:
            raise self._damage("the names of its spaces are out of order")
        if len(names) != meta.main.entries:
            raise self._damage(f"it lists {len(names)} spaces of {meta.main.entries}")

    def _check_short(self, meta: Meta, size: int) -> None:
        """A file may lack pages at its end that are free; a look at every page tells."""
        from ormdb.storage.lmdb.verify import verify_file

        if problems := verify_file(self.path):
            raise CorruptionError(
                f"{self.path} is truncated: it has {size} bytes of"
                f" {(meta.last_page + 1) * meta.page_bytes} ({problems[0]}); restore a backup"
            )

    def _walk(self, meta: Meta, root: int, depth: int) -> Iterator[bytes]:
        """The names under a page of the main tree, each record checked."""
        if root == _NO_PAGE:
            return
        if not 0 < depth <= TREE_DEPTH_MAX:
            raise self._damage(f"its tree of names is {depth} deep")
        page, flags = self._page(meta, root)
        for at in self._node_offsets(page, root):
            low, high, node_flags, key_bytes = _NODE.unpack_from(page, at)
            data = at + _NODE.size + key_bytes
            if flags == _BRANCH:
                child = low | high << 16 | node_flags << 32
                yield from self._walk(meta, child, depth - 1)
                continue
            if not node_flags & _SUBDATA:
                raise FormatError(
                    f"{self.path} holds other things than spaces, so ormdb did not write it;"
                    " open another file"
                )
            record = page[data : data + _RECORD.size]
            if low | high << 16 != _RECORD.size or len(record) != _RECORD.size:
                raise self._damage(f"a record of page {root} has the wrong size")
            self._check_record(meta, read_record(record))
            yield self._name(page[at + _NODE.size : data])

    def _name(self, name: bytes) -> bytes:
        try:
            name.decode()
        except UnicodeDecodeError as error:
            raise self._damage(f"a space is named {name!r}") from error
        return name

    def _check_record(self, meta: Meta, tree: Tree) -> None:
        if tree.flags not in {0, _MULTIMAP} or tree.depth > TREE_DEPTH_MAX:
            raise self._damage(f"a space has flags {tree.flags:#x} and depth {tree.depth}")
        if (tree.root == _NO_PAGE) != (tree.depth == 0):
            raise self._damage(f"a space of depth {tree.depth} has its root at {tree.root:#x}")
        if tree.root != _NO_PAGE:
            self._page(meta, tree.root)

    def _page(self, meta: Meta, number: int) -> tuple[bytes, int]:
        """A page of a tree and its kind."""
        if not 2 <= number <= meta.last_page:
            raise self._damage(f"a tree leads to page {number} of {meta.last_page}")
        page = os.pread(self.descriptor, meta.page_bytes, number * meta.page_bytes)
        if len(page) != meta.page_bytes:
            raise self._damage(f"page {number} lies past its end")
        said, _, flags, lower, upper = _PAGE.unpack_from(page)
        if said != number or flags not in {_BRANCH, _LEAF}:
            raise self._damage(f"page {number} says it is page {said} of kind {flags:#x}")
        if not PAGE_HEADER_BYTES < lower <= upper <= meta.page_bytes or lower % 2:
            raise self._damage(f"page {number} has bounds {lower} and {upper}")
        return page, flags

    def _node_offsets(self, page: bytes, number: int) -> list[int]:
        _, _, _, lower, upper = _PAGE.unpack_from(page)
        count = (lower - PAGE_HEADER_BYTES) // 2
        offsets = list(struct.unpack_from(f"<{count}H", page, PAGE_HEADER_BYTES))
        if min(offsets) < upper or max(offsets) + _NODE.size > len(page):
            raise self._damage(f"page {number} has a node outside of itself")
        return offsets

    def _refuse_first(self, head: bytes) -> NoReturn:
        """Say what a file is whose first page is no meta page."""
        if _parse_meta(head[PAGE_BYTES_USUAL:]) is not None:
            raise self._damage("meta page 0 is unreadable")
        if len(head) >= META_BYTES:
            magic, version, _, _ = _META_HEAD.unpack_from(head, PAGE_HEADER_BYTES)
            if magic == _MAGIC:
                raise FormatError(
                    f"{self.path} was written by version {version} of the storage engine, this is"
                    f" {_DATA_VERSION}; open it with the ormdb that wrote it"
                )
        raise FormatError(f"{self.path} is not an ormdb database; open another file")

    def _damage(self, what: str) -> CorruptionError:
        return CorruptionError(f"{self.path} is damaged: {what}; restore a backup")


def _is_page_size(size: int) -> bool:
    return 512 <= size <= PAGE_BYTES_MAX and size & (size - 1) == 0
