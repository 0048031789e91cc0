"""What a process writes to one file, seen from outside: its system calls, as events.

    pwrite64(5<shop.ormdb>, "\\x00…", 104, 4120)   ->  Write(offset=4120, data=…, is_durable=False)
    fdatasync(5<shop.ormdb>) = 0                   ->  Sync(covers=17)
    write(9<marks>, "ack 8 ")                      ->  Mark("ack 8")

The process runs under `strace`, which prints every byte.  A write through a descriptor that was
opened with O_DSYNC is on the disk when it returns, and takes no other write with it.  A process
that writes through a memory map, renames its file or cuts it cannot be followed: that is refused.

Invariants (held by tests/unit/testing/test_crash_trace.py):
  1. The events, applied in order to an empty file, give the file that the process left.
  2. A sync covers the writes that had returned before it began, and only if it succeeded.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from ormdb.errors import UnsupportedError

_CALLS: Final = (
    "openat,open,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,sync_file_range,msync,"
    "mmap,ftruncate,fallocate,lseek,rename,renameat,renameat2,close"
)
_STRING_BYTES_MAX: Final = 2**26  # longer ones are cut, which is seen and refused
_LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += +(-?\d+|0x[0-9a-f]+|\?)(.*)$", re.DOTALL)
_UNFINISHED = re.compile(r"^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$", re.DOTALL)
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)
_DESCRIPTOR = re.compile(r"^(\d+)<((?:\\x[0-9a-f]{2})*)>")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_SYNCED_WRITES: Final = ("O_DSYNC", "O_SYNC")


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes that were written.  `is_durable`: they were on the disk when the call returned."""

    offset: int
    data: bytes
    is_durable: bool


@dataclass(frozen=True, slots=True)
class Resize:
    """The file was made this long."""

    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """The first `covers` events were on the disk when the call returned."""

    covers: int


@dataclass(frozen=True, slots=True)
class Mark:
    """What the process said of itself."""

    text: str


Event: TypeAlias = Write | Resize | Sync | Mark


@dataclass(slots=True)
class _File:
    """A descriptor of the file."""

    is_durable: bool
    position: int = 0


@dataclass(slots=True)
class _Reader:
    """Turns lines into events."""

    path: bytes
    marks: bytes
    events: list[Event] = field(default_factory=list[Event])
    files: dict[str, _File] = field(default_factory=dict[str, _File])
    begun: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    size: int = 0

    def read(self, line: str) -> None:
        """One line of the trace."""
        line = line.rstrip("\n")
        if unfinished := _UNFINISHED.match(line):
            thread, name, head = unfinished.groups()
            self.begun[thread] = f"{name}({head}", len(self.events)
            return
        covers = len(self.events)
        if resumed := _RESUMED.match(line):
            thread, _, tail = resumed.groups()
            head, covers = self.begun.pop(thread, ("", covers))
            line = f"{thread} {head}{tail}"
        whole = _LINE.match(line)
        if whole is not None and whole[4] != "?" and not whole[4].startswith("-"):
            self._call(whole[2], whole[3], int(whole[4], 0), covers)

    def _call(self, name: str, given: str, result: int, covers: int) -> None:
        if name in {"open", "openat"}:
            if self._named(given, self.path):
                synced = any(flag in given for flag in _SYNCED_WRITES)
                self.files[str(result)] = _File(is_durable=synced)
            return
        if name.startswith("rename"):
            if self._named(given, self.path):
                raise UnsupportedError("the traced process renamed its file")
            return
        if name == "mmap":
            shown = re.search(r"(\d+)<((?:\\x[0-9a-f]{2})*)>", given)
            if shown and _bytes(shown[2]) == self.path and "PROT_WRITE" in given:
                raise UnsupportedError("the traced process writes through a memory map")
            return
        descriptor = _DESCRIPTOR.match(given)
        if descriptor is None:
            return
        place = _bytes(descriptor[2])
        if place == self.marks and name == "write":
            self.events += [Mark(text) for text in _joined(given).decode().split("\n") if text]
        elif place == self.path:
            file = self.files.setdefault(descriptor[1], _File(is_durable=False))
            self._file_call(name, given, result, covers, file)

    def _file_call(self, name: str, given: str, result: int, covers: int, file: _File) -> None:
        match name:
            case "lseek":
                file.position = result
            case "write" | "writev":
                self._write(file.position, _joined(given)[:result], file)
                file.position += result
            case "pwrite64" | "pwritev" | "pwritev2":
                tail = given.rsplit('"', 1)[1] if name == "pwrite64" else given.rsplit("]", 1)[1]
                offset = int(tail.split(",")[2])
                self._write(offset, _joined(given)[:result], file)
            case "fsync" | "fdatasync":
                self.events.append(Sync(covers))
            case "ftruncate":
                self._resize(int(given.rsplit(",", 1)[1], 0), may_shrink=True)
            case "fallocate":
                _, mode, start, length = given.rsplit(",", 3)
                if mode.strip() == "0":
                    self._resize(int(start) + int(length), may_shrink=False)
            case "close":
                self.files.pop(given.partition("<")[0], None)
            case _:
                pass

    def _write(self, offset: int, data: bytes, file: _File) -> None:
        self.events.append(Write(offset, data, file.is_durable))
        self.size = max(self.size, offset + len(data))

    def _resize(self, size: int, *, may_shrink: bool) -> None:
        if size < self.size and may_shrink:
            raise UnsupportedError("the traced process cut its file")
        if size > self.size:
            self.events.append(Resize(size))
            self.size = size

    def _named(self, given: str, path: bytes) -> bool:
        return any(_bytes(text) == path for text, _ in _STRING.findall(given))


def trace_process(
    command: Sequence[str],
    path: Path,
    marks: Path,
    *,
    environment: Mapping[str, str] | None = None,
) -> list[Event]:
    """Run a command, and return what it did to one file and said in another.

    Raises:
      UnsupportedError: there is no `strace` here, or the process wrote in a way unseen.
    """
    program = shutil.which("strace")
    if program is None:
        raise UnsupportedError("strace is not installed; install it to follow what is written")
    log = path.with_name(path.name + ".trace")
    place, told = Path(os.path.realpath(path)), Path(os.path.realpath(marks))
    options = ["-f", "-qq", "-xx", "-y", "-v", "-s", str(_STRING_BYTES_MAX), "--signal=none"]
    seen = ["-e", f"trace={_CALLS}", "--seccomp-bpf", "-P", str(place), "-P", str(told)]
    finished = subprocess.run(
        [program, *options, *seen, "-o", str(log), "--", *command],
        capture_output=True,
        text=True,
        check=False,
        env=None if environment is None else dict(environment),
    )
    try:
        if finished.returncode:
            raise UnsupportedError(f"the traced process failed: {finished.stderr[-2_000:]}")
        with log.open(encoding="ascii") as lines:
            return read_trace(lines, place, told)
    finally:
        log.unlink(missing_ok=True)


def read_trace(lines: Iterator[str], path: Path, marks: Path) -> list[Event]:
    """The events in the lines that strace printed with `-f -xx -y -v`."""
    reader = _Reader(os.fsencode(path), os.fsencode(marks))
    for line in lines:
        reader.read(line)
    return reader.events


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _joined(given: str) -> bytes:
    """Every string among the arguments, which for a vector are several."""
    parts = _STRING.findall(given)
    if any(cut for _, cut in parts):
        raise UnsupportedError("strace left out a part of what was written")
    return b"".join(_bytes(text) for text, _ in parts)
