"""CSV and JSON Lines files as batches of columns.

    flights.csv   flights.tsv   flights.csv.zip   flights.csv.gz   flights.jsonl   flights.ndjson

    carrier,dep_delay            names    ("carrier", "dep_delay")
    UA,2                         batches  (["UA", "AA"], ["2", "NA"])
    AA,NA

A zip archive holds one file.  CSV is read strictly: a quote that is not closed, or a row with too
few or too many cells, is an error that names the line.  Blank lines are skipped.

Invariants (held by tests/unit/exchange/test_text_sources.py):
  1. A malformed file raises ImportFileError, with the line where there is one.
  2. Reading again gives the same batches.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol, cast

from ormdb import limits
from ormdb.errors import ImportFileError, ValueRangeError, ValueTypeError
from ormdb.exchange.cells import load_json
from ormdb.ir.show import show_value
from ormdb.ir.value import Value

_ROWS_PER_BATCH: Final = 5_000
_CSV_SUFFIXES: Final = {".csv": ",", ".tsv": "\t"}
_JSON_SUFFIXES: Final = {".jsonl", ".ndjson"}
_PACKED_SUFFIXES: Final = {".zip", ".gz"}


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows, column by column; `first` is the number of the first of them, from 1."""

    first: int
    columns: Sequence[Sequence[Value]]


class TextSource(Protocol):
    """A file of rows."""

    @property
    def name(self) -> str:
        """What its rows are, after the file's name."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        ...

    @property
    def is_json(self) -> bool:
        """Whether items are parts of JSON, with None for null or nothing, and not cells."""
        ...

    def batches(self) -> Iterator[Batch]:
        """All rows, from the beginning."""
        ...


def open_source(path: str, *, delimiter: str | None, encoding: str) -> TextSource:
    """Find out what kind of file `path` is, and read its head.

    Raises:
      ImportFileError: its suffix is not known, or it cannot be read.
    """
    file = Path(path)
    suffixes = [suffix.lower() for suffix in file.suffixes]
    stem, kind = file.name, ""
    while suffixes and (suffixes[-1] in _PACKED_SUFFIXES or not kind):
        last = suffixes.pop()
        stem = stem[: -len(last)]
        kind = kind if last in _PACKED_SUFFIXES else last
    if not kind and file.suffix.lower() == ".zip":
        kind = Path(_only_member(path)).suffix.lower()
    if kind in _CSV_SUFFIXES:
        return CsvSource(path, stem, delimiter or _CSV_SUFFIXES[kind], encoding)
    if kind in _JSON_SUFFIXES:
        return JsonSource(path, stem, encoding)
    raise ImportFileError(
        f"{path} is of no kind that can be imported; name a SQLite file, or one that ends in "
        ".csv, .tsv, .jsonl or .ndjson, perhaps with .zip or .gz after that"
    )


class CsvSource:
    """A CSV file with a header."""

    is_json = False

    def __init__(self, path: str, name: str, delimiter: str, encoding: str) -> None:
        self.path, self.name = path, name
        self._delimiter, self._encoding = delimiter, encoding
        with self._rows() as (_, rows):
            self.names = self._header(next(rows, None))

    def batches(self) -> Iterator[Batch]:
        width = len(self.names)
        with self._rows() as (reader, rows):
            next(rows)
            first, kept = 1, list[Sequence[str]]()
            for row in rows:
                cells = row or ([""] if width == 1 else None)
                if cells is None:
                    continue
                if len(cells) != width:
                    raise ImportFileError(
                        f"{self.path}, line {reader.line_num}: {len(cells)} cells stand where "
                        f"the header has {width}; quote cells that hold the delimiter"
                    )
                kept.append(cells)
                if len(kept) == _ROWS_PER_BATCH:
                    yield Batch(first, list(zip(*kept, strict=True)))
                    first, kept = first + len(kept), []
            if kept:
                yield Batch(first, list(zip(*kept, strict=True)))

    @contextlib.contextmanager
    def _rows(self) -> Generator[tuple[_LineCounter, Iterator[list[str]]]]:
        if csv.field_size_limit() < limits.TEXT_BYTES_MAX:
            csv.field_size_limit(limits.TEXT_BYTES_MAX)
        with _reading(self.path, self._encoding), _text(self.path, self._encoding) as file:
            try:
                reader = csv.reader(file, delimiter=self._delimiter, strict=True)
            except TypeError as error:
                raise ImportFileError(
                    f"{show_value(self._delimiter)} is not a delimiter; give one character"
                ) from error
            try:
                yield reader, iter(reader)
            except csv.Error as error:
                raise ImportFileError(
                    f"{self.path}, line {reader.line_num}: the text is not CSV ({error}); "
                    "double the quotes inside quoted cells"
                ) from error

    def _header(self, row: list[str] | None) -> tuple[str, ...]:
        if not row:
            raise ImportFileError(f"{self.path} has no header; name the columns in its first line")
        for name in row:
            if not name or row.count(name) > 1:
                what = "twice" if name else "empty"
                raise ImportFileError(
                    f"{self.path}: the column {show_value(name)[5:]} of the header is {what}; "
                    "give each column a name of its own"
                )
        return tuple(row)


class _LineCounter(Protocol):
    @property
    def line_num(self) -> int: ...


class JsonSource:
    """A JSON Lines file: one object per line.  Its columns are the members of all objects."""

    is_json = True

    def __init__(self, path: str, name: str, encoding: str) -> None:
        self.path, self.name, self._encoding = path, name, encoding
        names: dict[str, None] = {}
        for _, item in self._objects():
            names.update(dict.fromkeys(item))
        if not names:
            raise ImportFileError(f"{path} has no members; write one object per line")
        self.names = tuple(names)

    def batches(self) -> Iterator[Batch]:
        first, kept = 1, list[dict[str, Value]]()
        for _, item in self._objects():
            kept.append(item)
            if len(kept) == _ROWS_PER_BATCH:
                yield self._batch(first, kept)
                first, kept = first + len(kept), []
        if kept:
            yield self._batch(first, kept)

    def _batch(self, first: int, items: Sequence[dict[str, Value]]) -> Batch:
        return Batch(first, [[item.get(name) for item in items] for name in self.names])

    def _objects(self) -> Iterator[tuple[int, dict[str, Value]]]:
        with _reading(self.path, self._encoding), _text(self.path, self._encoding) as file:
            lines = iter(lambda: file.readline(limits.TEXT_BYTES_MAX), "")
            for number, line in enumerate(lines, 1):
                where = f"{self.path}, line {number}"
                if len(line) == limits.TEXT_BYTES_MAX:
                    raise ImportFileError(f"{where} is too long; write one object per line")
                if not line.strip():
                    continue
                try:
                    item = load_json(line, where)
                except (ValueTypeError, ValueRangeError) as error:
                    raise ImportFileError(error.message) from error
                if not isinstance(item, dict):
                    raise ImportFileError(f"{where}: no object stands there; write one per line")
                yield number, cast("dict[str, Value]", item)


# --- files ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _reading(path: str, encoding: str) -> Generator[None]:
    """Turn what reading a file raises into ImportFileError."""
    try:
        yield
    except (UnicodeDecodeError, LookupError) as error:
        raise ImportFileError(
            f"{path} is not text in {encoding} ({error}); name its encoding"
        ) from error
    except OSError as error:
        raise ImportFileError(
            f"{path} cannot be read ({error.strerror or error}); check the name and its permissions"
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ImportFileError(f"{path} cannot be unpacked ({error}); pack it again") from error


@contextlib.contextmanager
def _text(path: str, encoding: str) -> Generator[IO[str]]:
    """The text of a file, unpacked; line ends as they are, which quoted cells may hold."""
    with _bytes(path) as raw, io.TextIOWrapper(raw, encoding=encoding, newline="") as file:
        yield file


@contextlib.contextmanager
def _bytes(path: str) -> Generator[IO[bytes]]:
    suffix = Path(path).suffix.lower()
    if suffix == ".gz":
        with gzip.open(path) as unpacked:
            yield cast("IO[bytes]", unpacked)
    elif suffix == ".zip":
        member = _only_member(path)
        with zipfile.ZipFile(path) as archive, archive.open(member) as opened:
            yield opened
    else:
        with Path(path).open("rb") as file:
            yield file


def _only_member(path: str) -> str:
    with _reading(path, ""), zipfile.ZipFile(path) as archive:
        members = [one.filename for one in archive.infolist() if not one.is_dir()]
    if len(members) != 1:
        raise ImportFileError(f"{path} holds {len(members)} files; pack one file per archive")
    return members[0]
