"""Kinds of damage to a file of pages, each drawn from a random generator.

    flip_a_bit          anywhere                       flip_a_bit_inside   heads, inner pages
    zero_a_page         zero_a_range                   write_noise         64 bytes of it
    swap_two_pages      duplicate_a_page               cut_the_end
    restore_a_page      a page as it was in an earlier copy of the file: a write that got lost
    restore_a_place     a page of the past over the one that now holds the same rows

Most of a file is payload, whose checksums any damage meets; so one kind seeks out the few bytes
that lead from page to page.  Swaps and copies seek pages of the same kind half of the time, since
those are what is hardest to tell apart.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

PAGE_BYTES: Final = 4_096
_HEAD = struct.Struct("<QHHHH")  # number, pad, flags, lower, upper
_BRANCH: Final = 0x01
_KINDS: Final = 0x0F


@dataclass(frozen=True, slots=True)
class Victim:
    """A file to damage, with copies of it from before."""

    data: bytearray
    earlier: Sequence[bytes]
    random: random.Random

    @property
    def pages(self) -> int:
        return len(self.data) // PAGE_BYTES

    def page(self, number: int) -> bytes:
        return bytes(self.data[number * PAGE_BYTES : (number + 1) * PAGE_BYTES])

    def put(self, number: int, page: bytes) -> None:
        self.data[number * PAGE_BYTES : (number + 1) * PAGE_BYTES] = page

    def pair(self) -> tuple[int, int]:
        """Two pages, of one kind half of the time."""
        pick = self.random
        one, two = pick.randrange(self.pages), pick.randrange(self.pages)
        if pick.random() < 0.5:
            kind = _kind(self.page(one))
            two = pick.choice([n for n in range(self.pages) if _kind(self.page(n)) == kind])
        return one, two


def flip_a_bit(victim: Victim) -> None:
    """Flip one bit anywhere."""
    _flip(victim, victim.random.randrange(len(victim.data)))


def flip_a_bit_inside(victim: Victim) -> None:
    """Flip one bit of what leads to other bytes: a meta page, an inner page, the head of a page."""
    pick = victim.random
    inner = [n for n in range(2, victim.pages) if _HEAD.unpack_from(victim.page(n))[2] == _BRANCH]
    roll = pick.random()
    if roll < 0.1:
        _flip(victim, pick.randrange(2) * PAGE_BYTES + pick.randrange(152))
    elif roll < 0.55 and inner:
        page = pick.choice(inner)
        _, _, _, lower, upper = _HEAD.unpack_from(victim.page(page))
        used = [*range(min(lower, PAGE_BYTES)), *range(min(upper, PAGE_BYTES), PAGE_BYTES)]
        _flip(victim, page * PAGE_BYTES + pick.choice(used))
    else:
        page = pick.randrange(victim.pages)
        _flip(victim, page * PAGE_BYTES + pick.randrange(64))


def zero_a_page(victim: Victim) -> None:
    """Make all of a page zero."""
    victim.put(victim.random.randrange(victim.pages), bytes(PAGE_BYTES))


def zero_a_range(victim: Victim) -> None:
    """Make some bytes zero, from anywhere, across pages too."""
    pick = victim.random
    at = pick.randrange(len(victim.data))
    size = min(2 ** pick.randrange(14), len(victim.data) - at)
    victim.data[at : at + size] = bytes(size)


def write_noise(victim: Victim) -> None:
    """Write random bytes over some others."""
    at = victim.random.randrange(len(victim.data))
    size = min(64, len(victim.data) - at)
    victim.data[at : at + size] = victim.random.randbytes(size)


def cut_the_end(victim: Victim) -> None:
    """Leave the beginning of the file only."""
    del victim.data[victim.random.randrange(len(victim.data)) :]


def swap_two_pages(victim: Victim) -> None:
    """Put two pages in each other's place."""
    one, two = victim.pair()
    first, second = victim.page(one), victim.page(two)
    victim.put(one, second)
    victim.put(two, first)


def duplicate_a_page(victim: Victim) -> None:
    """Put a page over another one."""
    one, two = victim.pair()
    victim.put(one, victim.page(two))


def restore_a_page(victim: Victim) -> None:
    """Put a page back to what it was in an earlier copy."""
    copy = victim.random.choice(victim.earlier)
    differing = [
        number
        for number in range(min(victim.pages, len(copy) // PAGE_BYTES))
        if victim.page(number) != _page_of(copy, number)
    ]
    number = victim.random.choice(differing)
    victim.put(number, _page_of(copy, number))


def restore_a_place(victim: Victim) -> None:
    """Put over a page what an earlier copy has for the same first key, with the page's number."""
    pick = victim.random
    copy = pick.choice(victim.earlier)
    by_key: dict[bytes, list[int]] = {}
    for number in range(2, len(copy) // PAGE_BYTES):
        by_key.setdefault(_first_key(_page_of(copy, number)), []).append(number)
    pairs = [
        (number, old)
        for number in range(2, victim.pages)
        for old in by_key.get(_first_key(victim.page(number)), ())
        if _page_of(copy, old)[8:] != victim.page(number)[8:]
    ]
    number, old = pick.choice(pairs)
    victim.put(number, victim.page(number)[:8] + _page_of(copy, old)[8:])


DAMAGES: Final[tuple[Callable[[Victim], None], ...]] = (
    flip_a_bit,
    flip_a_bit,
    flip_a_bit_inside,
    flip_a_bit_inside,
    zero_a_page,
    zero_a_range,
    write_noise,
    cut_the_end,
    swap_two_pages,
    duplicate_a_page,
    restore_a_page,
    restore_a_place,
)


def _flip(victim: Victim, at: int) -> None:
    victim.data[at] ^= 1 << victim.random.randrange(8)


def _kind(page: bytes) -> int:
    return int(_HEAD.unpack_from(page)[2]) & _KINDS


def _page_of(copy: bytes, number: int) -> bytes:
    return copy[number * PAGE_BYTES : (number + 1) * PAGE_BYTES]


def _first_key(page: bytes) -> bytes:
    """The kind of a page and the key of its first node, where it has one; else its number."""
    number, _, flags, lower, upper = _HEAD.unpack_from(page)
    if not _HEAD.size < lower <= upper <= PAGE_BYTES:
        return b"page %d" % number
    (at,) = struct.unpack_from("<H", page, _HEAD.size)
    if not upper <= at <= PAGE_BYTES - 8:
        return b"page %d" % number
    _, _, _, key_bytes = struct.unpack_from("<HHHH", page, at)
    return b"%d " % flags + page[at + 8 : at + 8 + key_bytes]
