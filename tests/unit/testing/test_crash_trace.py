"""What a process writes is seen from outside, byte by byte and in order."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from ormdb.errors import UnsupportedError
from ormdb.testing.crash_states import crash_states
from ormdb.testing.crash_trace import (
    Event,
    Mark,
    Resize,
    Sync,
    Write,
    read_trace,
    trace_process,
)
from tests.crash.tools import require

WRITER: Final = """
import os, sys
data = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
synced = os.open(sys.argv[1], os.O_WRONLY | os.O_DSYNC)
marks = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
os.write(marks, b"begin\\n")
os.pwrite(data, b"a" * 5_000, 0)
os.pwritev(data, [b"b" * 10, b"c" * 10], 4_990)
os.fdatasync(data)
os.lseek(data, 8_000, os.SEEK_SET)
os.writev(data, [b"d" * 100, b"e"])
os.write(data, b"f")
os.pwrite(synced, b"g" * 8, 16)
os.posix_fallocate(data, 9_999, 1)
os.write(marks, b"ack 1\\nbegin\\n")
os.fsync(data)
"""


def hexed(text: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text)


def line(call: str, result: object = 0, *, thread: int = 7) -> str:
    return f"{thread} {call} = {result}\n"


def read(lines: Iterable[str]) -> list[Event]:
    return read_trace(iter(lines), Path("/f"), Path("/m"))


F: Final = f"5<{hexed(b'/f')}>"


def test_the_events_applied_in_order_give_the_file_that_was_left(tmp_path: Path) -> None:
    require("strace", "apt-get install strace")
    path, marks = tmp_path / "data", tmp_path / "marks"
    events = trace_process([sys.executable, "-c", WRITER, str(path), str(marks)], path, marks)
    assert [event.text for event in events if isinstance(event, Mark)] == [
        "begin",
        "ack 1",
        "begin",
    ]
    assert [type(event) for event in events] == [
        *(Mark, Write, Write, Sync, Write, Write, Write, Resize, Mark, Mark, Sync),
    ]
    assert [event.is_durable for event in events if isinstance(event, Write)].index(True) == 4
    whole = [
        state.content
        for state in crash_states(events, states=100)
        if state.kind == "all that was written"
    ]
    assert whole[-1] == path.read_bytes()


def test_a_sync_counts_only_if_it_succeeded_and_covers_what_came_before_it_began() -> None:
    write = f'pwrite64({F}, "{hexed(b"x")}", 1, 0)'
    events = read(
        [
            line(write, 1),
            line(f"fdatasync({F})", "-1 EIO (Input/output error)"),
            f"7 fdatasync({F} <unfinished ...>\n",
            line(write, 1, thread=8),
            "7 <... fdatasync resumed>) = 0\n",
        ]
    )
    assert events == [Write(0, b"x", False), Write(0, b"x", False), Sync(1)]


def test_a_short_write_counts_for_what_was_written() -> None:
    text = hexed(b"abcdef")
    events = read([line(f'pwrite64({F}, "{text}", 6, 100)', 2)])
    assert events == [Write(100, b"ab", False)]


@pytest.mark.parametrize(
    "call",
    [
        f"mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, {F}, 0)",
        f'rename("{hexed(b"/f")}", "{hexed(b"/g")}")',
        f'pwrite64({F}, "{hexed(b"x")}"..., 1, 0)',
    ],
)
def test_what_cannot_be_followed_is_refused(call: str) -> None:
    with pytest.raises(UnsupportedError):
        read([line(call, 1)])


def test_a_file_that_is_cut_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="cut"):
        read([line(f"ftruncate({F}, 100)"), line(f"ftruncate({F}, 50)")])
