"""A schema on which transactions can go wrong in every way, and what steps of scripts mean there.

    Board    log: JSON, value       notes: ordered children       list-append and registers
    Item     tag (indexed), weight  filtered by equality, range, scan, relation      sets
    Tally    team (indexed)         counted by a filter                              counters
    Ticket                          counted, all of them                             counters
    Claim    word (unique)          there or not yet                                 absences
    Owner    pets: children         deleted when it has none                         foreign keys
    Account  balance                transfers and totals                             constant sum

    Step("append_note", 3, 17)      reads the notes of board 3, and puts 17 behind the last
    Step("members", 5, "range")     reads the items with tag 5 by a range of the index

Every step writes down what it did and saw, in the words of a history.  Constraints are reads: a
child that was inserted saw its parent, a parent that was deleted saw that it had no child, a unique
value that was inserted saw that there was none.

Invariants (held by tests/property/test_serializability.py):
  1. In the history of transactions that ran one after the other there is no finding.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final, TypeAlias

from ormdb.database.database import Database
from ormdb.database.writing import Transaction
from ormdb.errors import ForeignKeyError, NotFoundError, UniqueError, UsageError
from ormdb.model.annotation import Json
from ormdb.model.entity import Entity
from ormdb.model.fields import Field, Many, One, field, index, many, one
from ormdb.model.folding import count
from ormdb.testing.history import Record
from ormdb.testing.scheduler import OpenTransaction, Script, Step

OPENING: Final = 100  # what each account holds in the beginning
ACCOUNTS: Final = 4
NOWHERE: Final = -1  # the tag of an item that no set has


class Board(Entity):
    id: Field[int] = field(identity=True)
    log: Field[Json]
    value: Field[int | None]
    notes: Many[Note] = many(inverse="board")
    items: Many[Item] = many(inverse="board")


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


class Account(Entity):
    id: Field[int] = field(identity=True)
    balance: Field[int]


SCHEMA: Final = (Board, Note, Item, Tally, Ticket, Claim, Owner, Pet, Account)
TOTALS: Final[Mapping[Hashable, int]] = {"bank": ACCOUNTS * OPENING}

Doing: TypeAlias = Callable[[Transaction, Record, Step], None]


def found(database: Database, keys: int) -> None:
    """Make the rows that are there from the beginning, for keys from 0 up to `keys`."""
    with database.transaction() as txn:
        txn.insert_many([Board(id=key, log=[], value=None) for key in range(keys)])
        txn.insert_many([Owner(id=key) for key in range(keys)])
        txn.insert_many([Account(id=key, balance=OPENING) for key in range(ACCOUNTS)])


class Playground:
    """A database with this schema, as a stage of scripts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, script: Script) -> OpenTransaction:
        """Begin a transaction."""
        return _Playing(self._database.transaction())


class _Playing:
    def __init__(self, txn: Transaction) -> None:
        self._txn = txn

    def take(self, step: Step, record: Record) -> None:
        doing = STEPS.get(step.kind)
        if doing is None:
            raise UsageError(f"the playground has no step {step.kind!r}; it has {', '.join(STEPS)}")
        doing(self._txn, record, step)

    def commit(self) -> None:
        self._txn.commit()

    def rollback(self) -> None:
        self._txn.rollback()


# --- lists ------------------------------------------------------------------------------------


def _read_log(txn: Transaction, record: Record, step: Step) -> None:
    record.read_list(("log", step.key), _log(txn, step.key))


def _append_log(txn: Transaction, record: Record, step: Step) -> None:
    log = _log(txn, step.key)
    record.read_list(("log", step.key), log)
    txn.update(Board.key(step.key), Board.log.to([*log, step.value]))
    record.append(("log", step.key), step.value)


def _log(txn: Transaction, key: int) -> list[int]:
    board = txn.get(Board, key)
    assert board is not None
    values: Any = board.log
    return list(values)


def _read_notes(txn: Transaction, record: Record, step: Step) -> None:
    if step.value == "include":
        board = txn.one(Board.where(Board.id == step.key).include(_NOTES))
        values = [note.id for note in board.notes]
    else:
        notes = txn.fetch(Note.where(Note.board_id == step.key).order_by(Note.place, Note.id))
        values = [note.id for note in notes]
    record.read_list(("notes", step.key), values)


def _append_note(txn: Transaction, record: Record, step: Step) -> None:
    """Behind the last note, of which no more than its place is read."""
    last = txn.first(Note.where(Note.board_id == step.key).order_by(Note.place.desc()))
    place = 0 if last is None else last.place + 1
    txn.insert(Note(id=step.value, place=place, board_id=step.key))
    record.append(("notes", step.key), step.value)


_NOTES: Final = Board.notes.order_by(Note.place, Note.id)


# --- registers --------------------------------------------------------------------------------


def _read(txn: Transaction, record: Record, step: Step) -> None:
    board = txn.get(Board, step.key)
    assert board is not None
    record.read(("value", step.key), board.value)


def _write(txn: Transaction, record: Record, step: Step) -> None:
    txn.update(Board.key(step.key), Board.value.to(step.value))
    record.write(("value", step.key), step.value)


def _replace(txn: Transaction, record: Record, step: Step) -> None:
    """Write if the value is still what was read, which the engine looks at."""
    board = txn.get(Board, step.key)
    assert board is not None
    record.read(("value", step.key), board.value)
    same = Board.value.is_null() if board.value is None else Board.value == board.value
    if txn.update(Board.key(step.key), Board.value.to(step.value), where=same):
        record.write(("value", step.key), step.value)


def _write_first(txn: Transaction, record: Record, step: Step) -> None:
    """Write if nothing was written yet, which only the engine looks at."""
    if txn.update(Board.key(step.key), Board.value.to(step.value), where=Board.value.is_null()):
        record.read(("value", step.key), None)
        record.write(("value", step.key), step.value)
    else:
        _read(txn, record, step)


def _claim(txn: Transaction, record: Record, step: Step) -> None:
    """Take what nobody holds; a row that is absent was read by its identity."""
    claim = txn.get(Claim, step.key)
    record.read(("claim", step.key), None if claim is None else claim.holder)
    if claim is None:
        txn.insert(Claim(id=step.key, word=f"w{step.value}", holder=step.value))
        record.write(("claim", step.key), step.value)


def _read_claim(txn: Transaction, record: Record, step: Step) -> None:
    claim = txn.get(Claim, step.key)
    record.read(("claim", step.key), None if claim is None else claim.holder)


def _name(txn: Transaction, record: Record, step: Step) -> None:
    """Insert a unique value without looking: that it was accepted says that there was none."""
    try:
        txn.insert(Claim(id=-step.value, word=f"n{step.key}", holder=step.value))
    except UniqueError:
        _read_name(txn, record, step)
        return
    record.read(("name", step.key), None)
    record.write(("name", step.key), step.value)


def _read_name(txn: Transaction, record: Record, step: Step) -> None:
    claim = txn.first(Claim.where(Claim.word == f"n{step.key}"))
    record.read(("name", step.key), None if claim is None else claim.holder)


def _tally(txn: Transaction, record: Record, step: Step) -> None:
    _count(txn, record, step)
    before = txn.count(Tally.where(Tally.team == step.key))
    txn.insert(Tally(id=step.value, team=step.key))
    record.write(("count", step.key), before + 1)


def _count(txn: Transaction, record: Record, step: Step) -> None:
    chosen = Tally.where(Tally.team == step.key)
    if step.value == "table":
        found_ = sum(row[0] for row in txn.table(chosen.table(count())))
    else:
        found_ = txn.count(chosen)
    record.read(("count", step.key), found_ or None)


def _ticket(txn: Transaction, record: Record, step: Step) -> None:
    before = txn.count(Ticket)
    record.read("tickets", before or None)
    txn.insert(Ticket(id=step.value))
    record.write("tickets", before + 1)


def _tickets(txn: Transaction, record: Record, step: Step) -> None:
    record.read("tickets", txn.count(Ticket) or None)


# --- sets -------------------------------------------------------------------------------------


def _add(txn: Transaction, record: Record, step: Step) -> None:
    key = step.key
    txn.insert(Item(id=step.value, tag=key, weight=key, board_id=key))
    record.add(("items", key), step.value)


def _members(txn: Transaction, record: Record, step: Step) -> None:
    record.members(("items", step.key), _items(txn, step.key, step.value))


def _items(txn: Transaction, key: int, way: str | None) -> list[int]:
    if way == "range":
        query = Item.where(Item.tag > key - 1, Item.tag < key + 1)
    elif way == "scan":
        query = Item.where(Item.weight == key)
    elif way == "include":
        board = txn.one(Board.where(Board.id == key).include(Board.items))
        return [item.id for item in board.items]
    elif way == "path":
        query = Item.where(f"board.id == {key}")
    else:
        query = Item.where(Item.tag == key)
    return [item.id for item in txn.fetch(query)]


def _remove(txn: Transaction, record: Record, step: Step) -> None:
    """Delete one of the members."""
    members = sorted(_items(txn, step.key, None))
    record.members(("items", step.key), members)
    if members:
        place: int = step.value % len(members)
        chosen = members[place]
        txn.delete(Item.key(chosen))
        record.remove(("items", step.key), chosen)


def _move_out(txn: Transaction, record: Record, step: Step) -> None:
    """Change one of the members so that it is one no longer."""
    members = sorted(_items(txn, step.key, "scan"))
    record.members(("items", step.key), members)
    if members:
        place: int = step.value % len(members)
        chosen = members[place]
        nowhere = (Item.tag.to(NOWHERE), Item.weight.to(NOWHERE), Item.board_id.to(None))
        txn.update(Item.key(chosen), *nowhere)
        record.remove(("items", step.key), chosen)


def _clear(txn: Transaction, record: Record, step: Step) -> None:
    """Delete all members by the filter itself."""
    members = _items(txn, step.key, None)
    record.members(("items", step.key), members)
    deleted = txn.delete_where(Item.where(Item.tag == step.key))
    assert deleted == len(members), f"{deleted} of {len(members)} members were deleted"
    for each in members:
        record.remove(("items", step.key), each)


# --- foreign keys -----------------------------------------------------------------------------


def _adopt(txn: Transaction, record: Record, step: Step) -> None:
    try:
        txn.insert(Pet(id=step.value, owner_id=step.key))
    except ForeignKeyError:
        record.read(("owner", step.key), "gone")
        return
    record.read(("owner", step.key), None)
    record.add(("pets", step.key), step.value)


def _leave(txn: Transaction, record: Record, step: Step) -> None:
    try:
        txn.delete(Owner.key(step.key))
    except NotFoundError:
        record.read(("owner", step.key), "gone")
        return
    except ForeignKeyError:
        _pets(txn, record, step)
        return
    record.members(("pets", step.key), ())
    record.read(("owner", step.key), None)
    record.write(("owner", step.key), "gone")


def _pets(txn: Transaction, record: Record, step: Step) -> None:
    owner = txn.first(Owner.where(Owner.id == step.key).include(Owner.pets))
    record.read(("owner", step.key), "gone" if owner is None else None)
    pets = txn.fetch(Pet.where(Pet.owner_id == step.key))
    record.members(("pets", step.key), [pet.id for pet in pets])


# --- a bank -----------------------------------------------------------------------------------


def _transfer(txn: Transaction, record: Record, step: Step) -> None:
    giver, taker = txn.get(Account, step.key[0]), txn.get(Account, step.key[1])
    assert giver is not None
    assert taker is not None
    txn.update(giver, Account.balance.to(giver.balance - step.value))
    txn.update(taker, Account.balance.to(taker.balance + step.value))


def _give(txn: Transaction, record: Record, step: Step) -> None:
    """A transfer that reads nothing."""
    txn.update(Account.key(step.key[0]), Account.balance.add(-step.value))
    txn.update(Account.key(step.key[1]), Account.balance.add(step.value))


def _total(txn: Transaction, record: Record, step: Step) -> None:
    record.total("bank", [account.balance for account in txn.fetch(Account)])


STEPS: Final[Mapping[str, Doing]] = {
    "read_log": _read_log,
    "append_log": _append_log,
    "read_notes": _read_notes,
    "append_note": _append_note,
    "read": _read,
    "write": _write,
    "replace": _replace,
    "write_first": _write_first,
    "claim": _claim,
    "read_claim": _read_claim,
    "name": _name,
    "read_name": _read_name,
    "tally": _tally,
    "count": _count,
    "ticket": _ticket,
    "tickets": _tickets,
    "add": _add,
    "members": _members,
    "remove": _remove,
    "move_out": _move_out,
    "clear": _clear,
    "adopt": _adopt,
    "leave": _leave,
    "pets": _pets,
    "transfer": _transfer,
    "give": _give,
    "total": _total,
}
