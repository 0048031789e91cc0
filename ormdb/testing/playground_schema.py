"""The entities of the playground, and what is there from the beginning.

Board    log: JSON, value       notes: ordered children       list-append and registers
Item     tag (indexed), weight  filtered by equality, range, scan, relation      sets
Badge    through Link           a relation of many to many                       sets
Tally    team (indexed)         counted by a filter, and from its board          counters
Ticket                          counted, all of them                             counters
Claim    word (unique)          there or not yet                                 absences
Owner    pets: children         deleted when it has none                         restrict
Folder   pages: children        deleted with them                                cascade
Team     players: children      deleted, and these are without                   set null
Account  balance                transfers and totals                             constant sum
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Final

from ormdb.database.database import Database
from ormdb.model.annotation import Json
from ormdb.model.entity import Entity
from ormdb.model.fields import Field, Many, One, field, index, many, one, sequence

OPENING: Final = 100  # what each account holds in the beginning
ACCOUNTS: Final = 4
BADGES: Final = 6
DRAFTS: Final = 3
NOWHERE: Final = -1  # the tag of an item that no set has


class Board(Entity):
    id: Field[int] = field(identity=True)
    log: Field[Json]
    value: Field[int | None]
    notes: Many[Note] = many(inverse="board")
    items: Many[Item] = many(inverse="board")
    tallies: Many[Tally] = many(inverse="board")
    badges: Many[Badge] = many(through="Link.board", to="badge")


class Note(Entity):
    id: Field[int] = field(identity=True)
    place: Field[int]
    board_id: Field[int]
    board: One[Board] = one(via="board_id")

    __indexes__ = (index("board_id", "place"),)


class Item(Entity):
    id: Field[int] = field(identity=True)
    tag: Field[int] = field(index=True)
    weight: Field[int]
    board_id: Field[int | None]
    board: One[Board | None] = one(via="board_id")


class Tally(Entity):
    id: Field[int] = field(identity=True)
    team: Field[int] = field(index=True)
    board: One[Board | None] = one(via="team", enforced=False)


class Badge(Entity):
    id: Field[int] = field(identity=True)


class Link(Entity):
    id: Field[int] = field(identity=True, default=sequence())
    board: One[Board] = one()
    badge: One[Badge] = one()


class Ticket(Entity):
    id: Field[int] = field(identity=True)


class Claim(Entity):
    id: Field[int] = field(identity=True)
    word: Field[str] = field(unique=True)
    holder: Field[int]


class Owner(Entity):
    id: Field[int] = field(identity=True)
    pets: Many[Pet] = many(inverse="owner")


class Pet(Entity):
    id: Field[int] = field(identity=True)
    owner_id: Field[int]
    owner: One[Owner] = one(via="owner_id")


class Folder(Entity):
    id: Field[int] = field(identity=True)
    pages: Many[Page] = many(inverse="folder")


class Page(Entity):
    id: Field[int] = field(identity=True)
    folder_id: Field[int]
    folder: One[Folder] = one(via="folder_id", on_delete="cascade")


class Draft(Entity):
    """Deleted softly from the beginning, `DRAFTS` of each shelf."""

    __soft_delete__ = True

    id: Field[int] = field(identity=True)
    shelf: Field[int] = field(index=True)


class Team(Entity):
    id: Field[int] = field(identity=True)
    players: Many[Player] = many(inverse="team")


class Player(Entity):
    id: Field[int] = field(identity=True)
    number: Field[int] = field(index=True)  # of the team it joined, whatever becomes of that
    team_id: Field[int | None]
    team: One[Team | None] = one(via="team_id", on_delete="set_null")


class Account(Entity):
    id: Field[int] = field(identity=True)
    balance: Field[int]


SCHEMA: Final = (
    *(Board, Note, Item, Tally, Badge, Link, Ticket, Claim),
    *(Owner, Pet, Folder, Page, Draft, Team, Player, Account),
)
# No row refers to one that went with all that referred to it.
TOTALS: Final[Mapping[Hashable, int]] = {"bank": ACCOUNTS * OPENING, "left behind": 0}


def found(database: Database, keys: int) -> None:
    """Make the rows that are there from the beginning, for keys from 0 up to `keys`."""
    with database.transaction() as txn:
        txn.insert_many([Board(id=key, log=[], value=None) for key in range(keys)])
        for entity in ("Owner", "Folder", "Team"):
            txn.insert_rows(entity, [{"id": key} for key in range(keys)])
        drafts = [
            Draft(id=key * DRAFTS + n, shelf=key) for key in range(keys) for n in range(DRAFTS)
        ]
        txn.delete(*txn.insert_many(drafts))
        txn.insert_many([Badge(id=number) for number in range(BADGES)])
        txn.insert_many([Account(id=key, balance=OPENING) for key in range(ACCOUNTS)])
