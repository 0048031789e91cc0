"""What the steps of the playground do, and what they write down about it.

    append_note(2, 17)      read(("last", 2), 9)        the last note of board 2 was 9
                            append(("notes", 2), 17)    and 17 was put behind it
                            write(("last", 2), 17)

Every step is written down in the words of a history.  Constraints are reads: a child that was
inserted saw its parent, a parent that was deleted saw that it had no child, a unique value that was
inserted saw that there was none.  What goes in a cascade is not written down; but nobody may find a
child left behind.

Invariants (held by tests/property/test_serializability.py):
  1. In the history of transactions that ran one after the other there is no finding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from ormdb.database.writing import Transaction
from ormdb.errors import ForeignKeyError, NotFoundError, UniqueError
from ormdb.model.folding import count
from ormdb.testing.history import Record
from ormdb.testing.playground_schema import (
    DRAFTS,
    NOWHERE,
    Account,
    Badge,
    Board,
    Claim,
    Draft,
    Folder,
    Item,
    Note,
    Owner,
    Page,
    Pet,
    Player,
    Tally,
    Team,
    Ticket,
)
from ormdb.testing.scheduler import Step

Doing: TypeAlias = Callable[[Transaction, Record, Step], None]


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
    """Behind the last note, and no other is read."""
    last = _last_note(txn, record, step)
    place = 0 if last is None else last.place + 1
    txn.insert(Note(id=step.value, place=place, board_id=step.key))
    record.append(("notes", step.key), step.value)
    record.write(("last", step.key), step.value)


def _read_last(txn: Transaction, record: Record, step: Step) -> None:
    _last_note(txn, record, step)


def _last_note(txn: Transaction, record: Record, step: Step) -> Note | None:
    last = txn.first(Note.where(Note.board_id == step.key).order_by(Note.place.desc()))
    record.read(("last", step.key), None if last is None else last.id)
    return last


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


def _upsert(txn: Transaction, record: Record, step: Step) -> None:
    """Take what nobody holds, which only the engine looks at."""
    claim = Claim(id=step.key, word=f"w{step.value}", holder=step.value)
    if txn.upsert(claim, update=[]).effect == "created":
        record.read(("claim", step.key), None)
        record.write(("claim", step.key), step.value)
    else:
        _read_claim(txn, record, step)


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
    elif step.value == "derive":
        (row,) = txn.fetch(Board.where(Board.id == step.key).derive(_TALLIES)).to_dicts()
        found_ = int(str(row["tallies"]))
    else:
        found_ = txn.count(chosen)
    record.read(("count", step.key), found_ or None)


_TALLIES: Final = Board.tallies.count().named("tallies")


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
    elif way == "any":
        boards = txn.count(Board.where(Board.id == key, Board.items.any()))
        query = Item.where(Item.tag == key).limit(1_000 if boards else 1)
    elif way == "page":
        query = Item.where(Item.tag == key).order_by(Item.id.desc()).limit(1_000)
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


def _wear(txn: Transaction, record: Record, step: Step) -> None:
    """Connect a badge; whether it was connected before only the engine looks at."""
    badge: int = step.value
    if txn.connect(Board.key(step.key), Board.badges, Badge.key(badge)):
        record.add(("badges", step.key), badge)


def _badges(txn: Transaction, record: Record, step: Step) -> None:
    board = txn.one(Board.where(Board.id == step.key).include(Board.badges))
    record.members(("badges", step.key), [badge.id for badge in board.badges])


def _revive(txn: Transaction, record: Record, step: Step) -> None:
    """Bring back what was deleted softly; whether it was brought back before the engine knows."""
    number: int = step.key * DRAFTS + step.value
    try:
        txn.restore(Draft.key(number))
    except (NotFoundError, UniqueError):
        _drafts(txn, record, step)
        return
    record.add(("drafts", step.key), number)


def _drafts(txn: Transaction, record: Record, step: Step) -> None:
    drafts = txn.fetch(Draft.where(Draft.shelf == step.key))
    record.members(("drafts", step.key), [draft.id for draft in drafts])


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


def _file(txn: Transaction, record: Record, step: Step) -> None:
    try:
        txn.insert(Page(id=step.value, folder_id=step.key))
    except ForeignKeyError:
        record.read(("folder", step.key), "gone")
        return
    record.read(("folder", step.key), None)
    record.add(("pages", step.key), step.value)


def _shred(txn: Transaction, record: Record, step: Step) -> None:
    try:
        txn.delete(Folder.key(step.key))
    except NotFoundError:
        record.read(("folder", step.key), "gone")
        return
    record.read(("folder", step.key), None)
    record.write(("folder", step.key), "gone")


def _pages(txn: Transaction, record: Record, step: Step) -> None:
    folder = txn.get(Folder, step.key)
    record.read(("folder", step.key), "gone" if folder is None else None)
    pages = [page.id for page in txn.fetch(Page.where(Page.folder_id == step.key))]
    if folder is None:
        record.total("left behind", [len(pages)])
    else:
        record.members(("pages", step.key), pages)


def _join(txn: Transaction, record: Record, step: Step) -> None:
    try:
        txn.insert(Player(id=step.value, number=step.key, team_id=step.key))
    except ForeignKeyError:
        record.read(("team", step.key), "gone")
        return
    record.read(("team", step.key), None)
    record.add(("players", step.key), step.value)


def _disband(txn: Transaction, record: Record, step: Step) -> None:
    try:
        txn.delete(Team.key(step.key))
    except NotFoundError:
        record.read(("team", step.key), "gone")
        return
    record.read(("team", step.key), None)
    record.write(("team", step.key), "gone")


def _players(txn: Transaction, record: Record, step: Step) -> None:
    team = txn.first(Team.where(Team.id == step.key).include(Team.players))
    record.read(("team", step.key), "gone" if team is None else None)
    players = [player.id for player in txn.fetch(Player.where(Player.team_id == step.key))]
    if team is None:
        record.total("left behind", [len(players)])
    else:
        record.members(("players", step.key), [player.id for player in team.players])
    joined = txn.fetch(Player.where(Player.number == step.key))
    record.members(("players", step.key), [player.id for player in joined])


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
    "read_last": _read_last,
    "read": _read,
    "write": _write,
    "replace": _replace,
    "write_first": _write_first,
    "claim": _claim,
    "upsert": _upsert,
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
    "wear": _wear,
    "badges": _badges,
    "revive": _revive,
    "drafts": _drafts,
    "adopt": _adopt,
    "leave": _leave,
    "pets": _pets,
    "file": _file,
    "shred": _shred,
    "pages": _pages,
    "join": _join,
    "disband": _disband,
    "players": _players,
    "transfer": _transfer,
    "give": _give,
    "total": _total,
}
