"""Transactions that are told what to do, one command at a time: here, or each in its own process.

crew = Crew(path, processes)        None: all of them in this thread
one, two = crew.begin(), crew.begin()
one.do("set", 1, 11)
two.do("get", 1)                    10
one.do("commit")                    "committed"
two.do("commit")                    "committed", or "refused"
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final

import ormdb
from ormdb import Database, Entity, Field, Many, One, Query, Transaction, field, many, one, sequence
from ormdb.errors import ConflictError, ForeignKeyError, OrmdbError, UniqueError

REFUSED: Final = "refused"
COMMITTED: Final = "committed"


class Row(Entity):
    id: Field[int] = field(identity=True)
    value: Field[int] = field(index=True)


class Film(Entity):
    id: Field[int] = field(identity=True)
    title: Field[str] = field(unique=True)
    year: Field[int]
    roles: Many[Role] = many(inverse="film")
    reviews: Many[Review] = many(inverse="film")
    posters: Many[Poster] = many(inverse="film")
    actors: Many[Actor] = many(through="Role.film", to="actor")


class Review(Entity):
    id: Field[int] = field(identity=True)
    film: One[Film] = one(on_delete="cascade")


class Poster(Entity):
    id: Field[int] = field(identity=True)
    colour: Field[str] = field(index=True)
    film: One[Film | None] = one(on_delete="set_null")


class Login(Entity):
    __soft_delete__ = True

    id: Field[int] = field(identity=True)
    name: Field[str] = field(unique=True)


class Actor(Entity):
    id: Field[int] = field(identity=True)
    roles: Many[Role] = many(inverse="actor")


class Role(Entity):
    id: Field[int] = field(identity=True, default=sequence())
    film: One[Film] = one()
    actor: One[Actor] = one()


SCHEMA: Final = (Row, Film, Review, Poster, Login, Actor, Role)


def found(path: str) -> None:
    """Two rows; two films, the first with two roles, the second with a review and a poster; three
    actors; two logins, of which the first was deleted softly."""
    with ormdb.open(path, schema=SCHEMA, statistics="manual") as db:
        db.insert_many([Row(id=1, value=10), Row(id=2, value=20)])
        db.insert_many([Film(id=1, title="one", year=1), Film(id=2, title="two", year=2)])
        db.insert(Review(id=1, film=Film.key(2)))
        db.insert(Poster(id=1, colour="red", film=Film.key(2)))
        db.insert_many([Login(id=1, name="ada"), Login(id=2, name="bob")])
        db.delete(Login.key(1))
        db.insert_many([Actor(id=number) for number in (1, 2, 3)])
        roles = [Role(id=number, film=Film.key(1), actor=Actor.key(number)) for number in (1, 2)]
        db.insert_many(roles)


def perform(  # long because: one table of commands
    txn: Transaction, command: str, arguments: Sequence[Any]
) -> Any:
    """Do one thing; what it answers can be sent between processes."""
    match command, *arguments:
        case "get", number:
            row = txn.get(Row, number)
            return None if row is None else row.value
        case ("values",):
            return {row.id: row.value for row in txn.fetch(Row)}
        case "values", condition:
            return {row.id: row.value for row in txn.fetch(Row.where(condition))}
        case "count", condition:
            return txn.count(Row.where(condition))
        case "set", number, value:
            return txn.update(Row.key(number), Row.value.to(value))
        case "set where", condition, value:
            return txn.update_where(Row.where(condition), Row.value.to(value))
        case "add to all", amount:
            return txn.update_where(Row, Row.value.add(amount))
        case "delete where", condition:
            return txn.delete_where(Row.where(condition))
        case "insert", number, value:
            txn.insert(Row(id=number, value=value))
        case "roles of", number:
            return [role.id for role in txn.one(_film(number).include(Film.roles)).roles]
        case "actors of", number:
            return [actor.id for actor in txn.one(_film(number).include(Film.actors)).actors]
        case "films", *_:
            return sorted((film.id, film.title) for film in txn.fetch(Film))
        case ("reviews",):
            return {row["id"]: row["film_id"] for row in txn.fetch(Review).to_dicts()}
        case ("posters",):
            rows = txn.fetch(Poster).to_dicts()
            return {row["id"]: (row["colour"], row["film_id"]) for row in rows}
        case "add review", number, film:
            txn.insert(Review(id=number, film=Film.key(film)))
        case "colour", number, colour:
            txn.update(Poster.key(number), Poster.colour.to(colour))
        case ("red posters",):
            return txn.count(Poster.where(Poster.colour == "red"))
        case "connect", film, actor:
            return txn.connect(Film.key(film), Film.actors, Actor.key(actor))
        case "disconnect", film, actor:
            return txn.disconnect(Film.key(film), Film.actors, Actor.key(actor))
        case ("logins",):
            return {login.id: login.name for login in txn.fetch(Login)}
        case "login", name:
            return [login.id for login in txn.fetch(Login.where(Login.name == name))]
        case "add login", number, name:
            txn.insert(Login(id=number, name=name))
        case "delete login", number:
            txn.delete(Login.key(number))
        case "restore login", number:
            txn.restore(Login.key(number))
        case "add role", number, film, actor:
            txn.insert(Role(id=number, film=Film.key(film), actor=Actor.key(actor)))
        case "delete role", number:
            txn.delete(Role.key(number))
        case "add film", number, title:
            txn.insert(Film(id=number, title=title, year=number))
        case "delete film", number:
            txn.delete(Film.key(number))
        case "title", number, title:
            txn.update(Film.key(number), Film.title.to(title))
        case _:
            raise AssertionError(f"nobody knows how to {command} {arguments}")
    return None


def _film(number: int) -> Query[Film]:
    return Film.where(Film.id == number)


def obey(txn: Transaction, command: str, arguments: Sequence[Any]) -> Any:
    """Do what is said; a conflict or a constraint that refuses is an answer as well."""
    try:
        if command == "commit":
            txn.commit()
            return COMMITTED
        if command == "rollback":
            return txn.rollback()
        return perform(txn, command, arguments)
    except (ConflictError, UniqueError, ForeignKeyError):
        txn.rollback()
        return REFUSED


class Here:
    """A transaction in this thread."""

    def __init__(self, txn: Transaction) -> None:
        self._txn = txn

    def do(self, command: str, *arguments: Any) -> Any:
        return obey(self._txn, command, arguments)

    def end(self) -> None:
        self._txn.rollback()


class There:
    """A transaction in a process of its own."""

    def __init__(self, pipe: Connection, path: str) -> None:
        self._pipe = pipe
        self.do("begin", path)

    def do(self, command: str, *arguments: Any) -> Any:
        self._pipe.send((command, arguments))
        answer = self._pipe.recv()
        if isinstance(answer, OrmdbError):
            raise answer
        return answer

    def end(self) -> None:
        self.do("end")


def _serve(pipe: Connection) -> None:
    """Open, begin, obey and end, until the pipe is closed."""
    db: Database | None = None
    txn: Transaction | None = None
    while (said := pipe.recv()) is not None:
        command, arguments = said
        try:
            if command == "begin":
                (path,) = arguments
                db = ormdb.open(path, schema=SCHEMA, statistics="manual")
                txn = db.transaction()
                pipe.send(None)
            elif command == "end":
                assert txn is not None
                assert db is not None
                txn.rollback()
                db.close()
                pipe.send(None)
            else:
                assert txn is not None
                pipe.send(obey(txn, command, arguments))
        except OrmdbError as error:
            pipe.send(error)


class Processes:
    """Three processes that wait for transactions."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        for _ in range(3):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there,), daemon=True)
            process.start()
            there.close()
            self.pipes.append(here)
            self._processes.append(process)

    def close(self) -> None:
        for pipe in self.pipes:
            pipe.send(None)
        for process in self._processes:
            process.join()


class Crew:
    """The transactions of one case."""

    def __init__(self, path: str, processes: Processes | None) -> None:
        found(path)
        self._path = path
        self._processes = processes
        self._db = None if processes else ormdb.open(path, schema=SCHEMA, statistics="manual")
        self._begun: list[Here | There] = []

    def begin(self) -> Here | There:
        """Begin a transaction."""
        made: Here | There
        if self._processes is not None:
            made = There(self._processes.pipes[len(self._begun)], self._path)
        else:
            assert self._db is not None
            made = Here(self._db.transaction())
        self._begun.append(made)
        return made

    def after(self, command: str, *arguments: Any) -> Any:
        """End all transactions, and ask a new one."""
        self.close()
        with ormdb.open(self._path, schema=SCHEMA, statistics="manual") as db:
            report = db.check(deep=True)
            assert report.is_clean, report
            with db.transaction() as txn:
                return obey(txn, command, arguments)

    def close(self) -> None:
        for each in self._begun:
            each.end()
        self._begun.clear()
        if self._db is not None:
            self._db.close()
