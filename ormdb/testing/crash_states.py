"""The states a file may be in after a loss of power, made from what was written to it.

    written          page 9   page 10   size   |sync|   page 4   meta    |sync|
    a crash here                                        ^
      certain        everything before the first sync
      any of         page 4: all of it, none, or some of its sectors of 512 bytes

Between two syncs a disk may write in any order, so any subset of what is pending may be there.  A
write that makes the file longer is two things, its bytes and the new size: either may be there
without the other.  Most subsets differ little, so they are drawn: all, none, all but one, only one,
by chance, with torn pages, and with sizes that came too early or too late.

Invariants (held by tests/unit/testing/test_crash_states.py):
  1. What a sync covered is in every later state.
  2. No state is given twice for the same promises, in all rounds.
  3. A sector is never torn.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Final

from ormdb.testing.crash_trace import Event, Mark, Resize, Sync, Write

PAGE_BYTES: Final = 4_096
SECTOR_BYTES: Final = 512
_DRAWN_PER_POINT_MIN: Final = 4  # fewer would be what a killed process leaves, and little else
_DRAWN_PER_POINT: Final = 400  # at one place, in one round; most states are drawn elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashState:
    """One content that the file may have, and what was promised by then.

    `acknowledged` is the newest version that the process said was made; `begun` is how many
    commits it had begun and not acknowledged.
    """

    kind: str
    event: int
    acknowledged: int
    begun: int
    content: bytes


@dataclass(frozen=True, slots=True)
class _Piece:
    """Something pending: bytes of one page, or (without bytes) a size."""

    offset: int
    data: bytes
    is_forced: bool
    number: int  # of its event

    @property
    def is_size(self) -> bool:
        return not self.data


@dataclass(slots=True)
class _Disk:
    """What is certain, what is pending, and a number that tells contents apart."""

    certain: bytearray = field(default_factory=bytearray)
    pending: list[_Piece] = field(default_factory=list[_Piece])
    size: int = 0  # with everything that is pending
    mark: int = 0  # of what is certain: every page's, combined

    def write(self, offset: int, data: bytes, number: int) -> None:
        """Bytes become pending, page by page, and perhaps a size."""
        end = offset + len(data)
        if end > self.size:
            self.pending.append(_Piece(end, b"", False, number))
            self.size = end
        at = offset
        while at < end:
            until = min(end, (at // PAGE_BYTES + 1) * PAGE_BYTES)
            part = data[at - offset : until - offset]
            self.pending.append(_Piece(at, part, False, number))
            at = until

    def force(self, number: int) -> None:
        """One event's pieces are certain from now on, whatever is pending before them."""
        self.pending = [
            replace(piece, is_forced=True) if piece.number == number else piece
            for piece in self.pending
        ]

    def sync(self, covers: int) -> None:
        """What is pending of the first events becomes certain."""
        done = [piece for piece in self.pending if piece.number < covers]
        self.pending = [piece for piece in self.pending if piece.number >= covers]
        touched, content = self._applied(done)
        self.mark ^= self._difference(touched, content)
        self.certain = content

    def content(self, chosen: Sequence[_Piece]) -> tuple[int, bytearray]:
        """What the file holds with some of what is pending; first, the number that tells it."""
        touched, content = self._applied(chosen)
        return self.mark ^ self._difference(touched, content) ^ len(content) << 128, content

    def _applied(self, chosen: Sequence[_Piece]) -> tuple[set[int], bytearray]:
        content = bytearray(self.certain)
        size = max([len(content), *(piece.offset for piece in chosen if piece.is_size)])
        touched = set(range(len(content) // PAGE_BYTES, -(-size // PAGE_BYTES)))
        content.extend(bytes(size - len(content)))
        for piece in chosen:
            if piece.data and piece.offset < size:
                data = piece.data[: size - piece.offset]
                content[piece.offset : piece.offset + len(data)] = data
                touched.add(piece.offset // PAGE_BYTES)
        return touched, content

    def _difference(self, pages: set[int], content: bytearray) -> int:
        mark = 0
        for page in pages:
            mark ^= _page_mark(page, self.certain) ^ _page_mark(page, content)
        return mark


def crash_states(events: Sequence[Event], *, states: int, seed: int = 0) -> Iterator[CrashState]:
    """Draw distinct states: about `states` of them, spread over all places of the trace.

    Fewer, if the trace has not as many after several rounds.
    """
    seen: set[tuple[int, int, int]] = set()
    points = sum(1 for event in events if isinstance(event, Write | Resize))
    each = max(_DRAWN_PER_POINT_MIN, -(-states // max(1, points)))
    chance = states / max(1, points * each)  # of a place to be looked at, where there are many
    for round_ in range(8):
        before = len(seen)
        for state in _round(events, random.Random(f"{seed} {round_}"), (each, chance), seen):
            yield state
            if len(seen) >= states:
                return
        if len(seen) == before:
            return


def _round(
    events: Sequence[Event],
    pick: random.Random,
    how: tuple[int, float],
    seen: set[tuple[int, int, int]],
) -> Iterator[CrashState]:
    disk = _Disk()
    each, chance = how
    acknowledged = begun = 0
    for number, event in enumerate(events):
        drawn = 1
        many = each if pick.random() < chance else 0
        match event:
            case Mark(text):
                word, _, version = text.partition(" ")
                begun += 1 if word == "begin" else -1
                acknowledged = max(acknowledged, int(version or 0))
            case Sync(covers):
                disk.sync(covers)
            case Resize(size):
                disk.pending.append(_Piece(size, b"", False, number))
                disk.size = max(disk.size, size)
                drawn = many
            case Write(offset, data, _):
                disk.write(offset, data, number)
                drawn = many
        wanted = min(drawn, _DRAWN_PER_POINT)
        for kind, chosen in _choices(disk, pick, tries=2 * wanted) if wanted else ():
            mark, content = disk.content(chosen)
            if (mark, acknowledged, begun) in seen:
                continue
            seen.add((mark, acknowledged, begun))
            yield CrashState(
                kind=kind,
                event=number,
                acknowledged=acknowledged,
                begun=begun,
                content=bytes(content),
            )
            wanted -= 1
            if not wanted:
                break
        if isinstance(event, Write) and event.is_durable:
            disk.force(number)


def _choices(
    disk: _Disk, pick: random.Random, *, tries: int
) -> Iterator[tuple[str, Sequence[_Piece]]]:
    """What of the pending pieces is there; in the order in which they were written."""
    pieces = disk.pending
    yield "all that was written", pieces
    free = [i for i, piece in enumerate(pieces) if not piece.is_forced]
    if not free:
        return
    yield "only what was synced", [piece for piece in pieces if piece.is_forced]
    for _ in range(tries):
        roll = pick.random()
        if roll < 0.15:
            gone = pick.choice(free)
            yield "all but one", [piece for i, piece in enumerate(pieces) if i != gone]
        elif roll < 0.25:
            there = pick.choice(free)
            yield "only one", [p for i, p in enumerate(pieces) if p.is_forced or i == there]
        elif roll < 0.35:
            yield "a size too early", [p for p in pieces if p.is_forced or p.is_size]
        elif roll < 0.45:
            yield "a size too late", [p for p in pieces if p.is_forced or not p.is_size]
        elif roll < 0.7:
            yield "some", _some(pieces, pick)
        else:
            base = list(pieces) if pick.random() < 0.5 else _some(pieces, pick)
            yield "a torn page", _torn(base, pick)


def _some(pieces: Sequence[_Piece], pick: random.Random) -> list[_Piece]:
    chance = pick.choice((0.2, 0.5, 0.8))
    return [piece for piece in pieces if piece.is_forced or pick.random() < chance]


def _torn(pieces: Sequence[_Piece], pick: random.Random) -> list[_Piece]:
    """One page of which some sectors are there."""
    whole = [i for i, p in enumerate(pieces) if not p.is_forced and len(p.data) > SECTOR_BYTES]
    if not whole:
        return list(pieces)
    at = pick.choice(whole)
    sectors = list(_sectors(pieces[at]))
    cut = pick.randrange(1, len(sectors)) if len(sectors) > 1 else 1
    roll = pick.random()
    if roll < 0.4:
        kept = sectors[:cut]
    elif roll < 0.7:
        kept = sectors[cut:]
    else:
        kept = [sector for sector in sectors if pick.random() < 0.5]
    return [*pieces[:at], *kept, *pieces[at + 1 :]]


def _sectors(piece: _Piece) -> Iterator[_Piece]:
    at, end = piece.offset, piece.offset + len(piece.data)
    while at < end:
        until = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        data = piece.data[at - piece.offset : until - piece.offset]
        yield replace(piece, offset=at, data=data)
        at = until


def _page_mark(page: int, content: bytearray) -> int:
    data = bytes(content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES])
    if not data:
        return 0
    digest = blake2b(data, digest_size=16, key=page.to_bytes(8, "big")).digest()
    return int.from_bytes(digest, "big")
