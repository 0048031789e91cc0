"""Holds how CSV and JSON Lines files are found, unpacked and read, and what is malformed."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest

from ormdb import limits
from ormdb.errors import ImportFileError
from ormdb.exchange.text_sources import TextSource, open_source
from ormdb.ir.value import Value


def source_of(path: Path, **options: str) -> TextSource:
    given = {"delimiter": None, "encoding": "utf-8-sig", **options}
    return open_source(str(path), delimiter=given["delimiter"], encoding=str(given["encoding"]))


def rows_of(source: TextSource) -> list[tuple[Value, ...]]:
    return [row for batch in source.batches() for row in zip(*batch.columns, strict=True)]


def write(path: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_a_csv_file_is_read_as_columns(tmp_path: Path) -> None:
    text = 'a,"b c"\r\n1,"x, ""y""\nz"\r\n\r\n2,\r\n'
    source = source_of(write(tmp_path / "t.csv", text))
    assert (source.name, source.names) == ("t", ("a", "b c"))
    assert rows_of(source) == [("1", 'x, "y"\nz'), ("2", "")]
    assert rows_of(source) == rows_of(source)


def test_a_file_may_be_packed(tmp_path: Path) -> None:
    text = "a\n1\n"
    with zipfile.ZipFile(tmp_path / "one.csv.zip", "w") as archive:
        archive.writestr("whatever.csv", text)
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("inner.csv", text)
    (tmp_path / "three.csv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "four.v2.jsonl.gz").write_bytes(gzip.compress(b'{"a": "1"}\n'))
    for name, stem in (
        ("one.csv.zip", "one"),
        ("two.zip", "two"),
        ("three.csv.gz", "three"),
        ("four.v2.jsonl.gz", "four.v2"),
    ):
        source = source_of(tmp_path / name)
        assert source.name == stem
        assert rows_of(source) == [("1",)]


def test_tabs_marks_and_encodings_are_understood(tmp_path: Path) -> None:
    assert rows_of(source_of(write(tmp_path / "a.tsv", "x\ty\n1\t2\n"))) == [("1", "2")]
    assert source_of(write(tmp_path / "b.csv", "\ufeffx\n1\n")).names == ("x",)
    semicolons = source_of(write(tmp_path / "c.csv", "x;y\n1;2\n"), delimiter=";")
    assert rows_of(semicolons) == [("1", "2")]
    latin = write(tmp_path / "d.csv", "x\né\n", encoding="latin-1")
    assert rows_of(source_of(latin, encoding="latin-1")) == [("é",)]


def test_a_single_column_may_have_empty_cells(tmp_path: Path) -> None:
    assert rows_of(source_of(write(tmp_path / "t.csv", "x\n1\n\n2\n"))) == [("1",), ("",), ("2",)]


def test_rows_come_in_batches_with_the_number_of_the_first(tmp_path: Path) -> None:
    lines = "".join(f"{n}\n" for n in range(12_000))
    source = source_of(write(tmp_path / "t.csv", "x\n" + lines))
    assert [(b.first, len(b.columns[0])) for b in source.batches()] == [
        (1, 5_000),
        (5_001, 5_000),
        (10_001, 2_000),
    ]


def test_the_members_of_all_objects_are_columns(tmp_path: Path) -> None:
    text = '{"a": 1}\n\n{"b": [true], "a": null}\n'
    source = source_of(write(tmp_path / "t.ndjson", text))
    assert source.names == ("a", "b")
    assert rows_of(source) == [("1", None), (None, [True])]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("t.csv", "", "has no header"),
        ("t.csv", "\n1\n", "has no header"),
        ("t.csv", "a,a\n", "'a' of the header is twice"),
        ("t.csv", "a,\n", "of the header is empty"),
        ("t.csv", "a,b\n1,2\n1\n", "line 3: 1 cells stand where the header has 2"),
        ("t.csv", 'a,b\n1,"2\n', "line 2: the text is not CSV"),
        ("t.csv", 'a,b\n1,"2"x\n', "line 2: the text is not CSV"),
        ("t.jsonl", "", "has no members"),
        ("t.jsonl", '{"a": 1}\n{"a": \n', "line 2: the text is not JSON"),
        ("t.jsonl", '{"a": NaN}\n', "line 1: the text is not JSON"),
        ("t.jsonl", '{"a": 1, "a": 2}\n', "one key stands twice"),
        ("t.jsonl", "[1]\n", "line 1: no object stands there"),
        ("t.jsonl", "[" * 100_000, "line 1: .* nests too deeply"),
        ("t.csv.gz", "not packed", "cannot be unpacked|cannot be read"),
        ("t.csv.zip", "not packed", "cannot be unpacked"),
        ("t.xlsx", "a", "of no kind that can be imported"),
        ("t", "a", "of no kind that can be imported"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(ImportFileError, match=words):
        rows_of(source_of(path))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="cannot be read"):
        source_of(tmp_path / "missing.csv")
    with pytest.raises(ImportFileError, match="not text in utf-8"):
        source_of(write(tmp_path / "t.csv", "é\n", encoding="latin-1"))
    with pytest.raises(ImportFileError, match="name its encoding"):
        source_of(write(tmp_path / "u.csv", "a\n"), encoding="klingon")
    with pytest.raises(ImportFileError, match="give one character"):
        source_of(write(tmp_path / "v.csv", "a\n"), delimiter="::")


def test_an_archive_of_several_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        archive.writestr("a.csv", "x\n")
        archive.writestr("b.csv", "x\n")
    with pytest.raises(ImportFileError, match="holds 2 files"):
        source_of(tmp_path / "t.csv.zip")


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "t.jsonl", '{"a": 1}\n' + '{"a": "' + "x" * 100)
    monkeypatch.setattr(limits, "TEXT_BYTES_MAX", 64)
    with pytest.raises(ImportFileError, match="line 2 is too long"):
        source_of(path)
