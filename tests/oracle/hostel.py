"""A hostel: five entities with every kind of relation, few rows, and what is asked about them.

    Club     identity (code: text)    members by an enforced relation, fans by one that may dangle
    Member   identity (id: int)       club, mentor (to itself), stays; rooms through stays
    Fan      identity (id: int)       club, by value
    Room     identity (number: int)   facts: JSON
    Stay     identity (id: int)       member and room, both required

Everything that is kept between fetches has a question here: rows by key, by identity and by value,
children, first children, folds, pages, and what kept rows refer to.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from ormdb import Entity, Field, Json, Many, One, count, desc, field, index, many, one
from ormdb.ir.graph import GraphQuery
from ormdb.ir.table import TableQuery
from ormdb.ir.value import Value

IDS: Final = 12
ROOMS: Final = 4
CODES: Final = ("a", "b", "c", "d")
NOWHERE: Final = "nowhere"


class Club(Entity):
    """Found by an internal number, and by its code."""

    code: Field[str] = field(identity=True)
    name: Field[str]
    members: Many[Member] = many(inverse="club")
    fans: Many[Fan] = many(inverse="club")


class Member(Entity):
    """An enforced relation to a club, and one to itself."""

    id: Field[int] = field(identity=True)
    score: Field[int]
    club: One[Club | None] = one()
    mentor: One[Member | None] = one()
    pupils: Many[Member] = many(inverse="mentor")
    stays: Many[Stay] = many(inverse="member")
    rooms: Many[Room] = many(through="Stay.member", to="room", order_by=desc("nights"))

    __indexes__ = (index("club_code", "score"),)


class Fan(Entity):
    """A relation that is not enforced: it may dangle."""

    id: Field[int] = field(identity=True)
    club: One[Club | None] = one(enforced=False)


class Room(Entity):
    number: Field[int] = field(identity=True)
    beds: Field[int]
    facts: Field[Json]


class Stay(Entity):
    id: Field[int] = field(identity=True)
    nights: Field[int]
    member: One[Member]
    room: One[Room]


SCHEMA: Final = (Club, Member, Fan, Room, Stay)

GRAPHS: Final[tuple[GraphQuery, ...]] = (
    Club.order_by(Club.code).include(Club.members.include(Member.mentor, Member.pupils)).ir,
    Club.order_by(Club.code).include(Club.members.order_by(Member.score.desc()).limit(2)).ir,
    Club.order_by(Club.code).include(Club.members.where(Member.score > 5), Club.fans).ir,
    Member.order_by(Member.id).include(Member.rooms, Member.stays.include(Stay.room)).ir,
    Member.order_by(Member.id).include(Member.stays.order_by(Stay.id.desc()).limit(1)).ir,
    Fan.order_by(Fan.id).include(Fan.club.include(Club.members.limit(2))).ir,
    Member.where(Member.id.in_(range(IDS)), Member.score < 8).ir,
    Member.where("club.name == 'name 3'").order_by(Member.score).ir,
    Member.where(Member.score < 8).order_by(Member.score).limit(3).ir,
    Member.where(Member.score < 4).order_by(Member.score).limit(3).ir,
    Member.where(Member.score < 4).order_by(Member.score.desc()).limit(2).offset(1).ir,
    Member.order_by(Member.mentor[Member.score], Member.club[Club.name].desc()).limit(4).ir,
    Club.where(Club.members.any(Member.stays.any(Stay.nights == 1))).order_by(Club.name).ir,
    Club.where(Club.fans.none()).limit(2).ir,
    Room.where(Room.number == 2).ir,
    Club.order_by(Club.code)
    .derive(
        Club.members.count().named("members_now"), Club.members.sum(Member.score).named("scored")
    )
    .ir,
    Stay.where("member.club.code == 'a'").include(Stay.member.include(Member.club)).ir,
    Club.where(Club.code == "b").include(Club.members).ir,
    Member.where(Member.id == 3).include(Member.club, Member.mentor).ir,
    Fan.where("club.name == 'name 1'").limit(3).ir,
    Member.order_by(Member.id)
    .limit(5)
    .include(Member.club, Member.stays)
    .derive(Member.stays.max(Stay.nights).named("longest"), Member.rooms.count().named("seen"))
    .ir,
)

LINKED: Final = (0, 3, 5, 16, 18, 20)  # graphs that read rows by the keys of others

_CLUB = Member.club[Club.code]
_CLUB_NAME = Stay.member[Member.club][Club.name]
_MENTOR = Member.mentor[Member.score]
TABLES: Final[tuple[TableQuery, ...]] = (
    Member.all().table(_CLUB, count().named("n"), Member.score.sum()).ir,
    Stay.all().table(_CLUB_NAME, Stay.nights.max()).ir,
    Member.where(Member.score > 2).table(count().named("n"), Member.score.avg()).ir,
    Member.all().table(Member.id, _MENTOR).order_by(Member.id).ir,
)

GETS: Final[tuple[tuple[str, tuple[Value, ...]], ...]] = (
    *(("Club", (code,)) for code in CODES),
    *(("Member", (number,)) for number in range(5)),
    ("Fan", (1,)),
    ("Room", (2,)),
    ("Stay", (3,)),
)

Question: TypeAlias = GraphQuery | TableQuery | tuple[str, tuple[Value, ...]]
QUESTIONS: Final[tuple[Question, ...]] = (*GRAPHS, *TABLES, *GETS)
