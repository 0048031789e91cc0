"""A writer that never rests, for readers to be disturbed by: in a thread, or in a process.

shelf   boxes 0 2 4 ... 398     there throughout, never changed
        boxes 1 3 5 ...         come, change their places, go again, a commit each

python -m tests.oracle.scribbler shelf.ormdb      writes until its input ends, then says how often
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable
from typing import Final

import ormdb
from ormdb import Database, Entity, Field, Many, One, field, index, many

BOXES: Final = 200
SHELVES: Final = 5
LAST: Final = 2 * BOXES


class Shelf(Entity):
    name: Field[str] = field(identity=True)
    boxes: Many[Box] = many(inverse="shelf")


class Box(Entity):
    id: Field[int] = field(identity=True)
    weight: Field[int | None]
    label: Field[str]
    shelf: One[Shelf]

    __indexes__ = (index("weight"), index("shelf_name", "weight"))


def fill(database: Database) -> None:
    """The shelves, and the boxes that stay."""
    with database.transaction() as txn:
        for number in range(SHELVES):
            txn.insert(Shelf(name=f"shelf {number}"))
        rng = random.Random(7)
        for number in range(0, LAST, 2):
            txn.insert(_box(rng, number))


def scribble(database: Database, *, until: Callable[[], bool], seed: int) -> int:
    """Insert, change and delete odd boxes, a commit each, until told; how many commits."""
    rng, there, commits = random.Random(seed), set[int](), 0
    while not until():
        number = rng.randrange(1, LAST, 2)
        if number not in there:
            database.insert(_box(rng, number))
            there.add(number)
        elif rng.random() < 0.5:
            database.update(Box.key(number), Box.weight.to(rng.randrange(50)))
        else:
            database.delete(Box.key(number))
            there.remove(number)
        commits += 1
    return commits


def _box(rng: random.Random, number: int) -> Box:
    weight = rng.choice([None, *range(50)])
    shelf = Shelf.key(f"shelf {rng.randrange(SHELVES)}")
    return Box(id=number, weight=weight, label=f"label {rng.randrange(30)}", shelf=shelf)


def main() -> None:
    """Write to the file that is named, until the input ends."""
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    with ormdb.open(sys.argv[1], schema=[Shelf, Box], durability="none") as database:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        commits = scribble(database, until=ended.is_set, seed=1)
    sys.stdout.write(f"{commits}\n")


if __name__ == "__main__":
    main()
