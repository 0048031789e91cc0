"""Another process that has the same hostel open, with a row cache of its own, and does as told.

    here                                          there
    partner.write([Insert(...)])     -- line -->  one commit of the principal "partner"
                                     <-- line --  {"said": 42}, its version
    partner.ask(Ask(3), held=True)   -- line -->  a question to the snapshot that it holds

One process serves a whole suite: it is told which file to open, and to close it again.

python -m tests.oracle.partner       obeys lines of JSON until its input ends
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

import ormdb
from ormdb import Database
from ormdb.database.reading import Snapshot
from ormdb.errors import OrmdbError
from ormdb.ir.mutation import Delete, Insert, Mutation, Update
from ormdb.session import Context
from tests.oracle.compare import DifferenceError
from tests.oracle.hostel import SCHEMA
from tests.oracle.hostel_plain import Ask, answer, told

PRINCIPAL: Final = "partner"
_ROOT: Final = Path(__file__).parents[2]


class Partner:
    """The other process, as this one sees it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.oracle.partner"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def open(self, path: Path, cache_bytes: int) -> None:
        """Open a file that has its schema, after closing the one before."""
        self._tell("open", path=str(path), cache_bytes=cache_bytes)

    def write(self, mutations: Sequence[Mutation]) -> int:
        """Make one commit; its version."""
        return int(self._tell("write", mutations=[_spelt(each) for each in mutations]))

    def ask(self, ask: Ask, *, as_of: int | None = None, held: bool = False) -> str:
        """The answer as text (`hostel_plain.told`)."""
        said = self._tell("ask", number=ask.number, way=ask.way, as_of=as_of, held=held)
        return cast("str", said)

    def hold(self) -> int:
        """Begin a snapshot there, ending the one before; its version."""
        return int(self._tell("hold"))

    def reclaim(self, keep: int) -> int:
        """Keep so many versions; the new horizon."""
        return int(self._tell("reclaim", keep=keep))

    def close(self) -> None:
        """Close the file."""
        self._tell("close")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()  # its input ends, so it does
        assert error is not None or self._process.returncode == 0

    def _tell(self, name: str, **given: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, given]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the other process ended while it was told to {name}"
        reply = json.loads(line)
        if "refused" in reply:
            raise DifferenceError(f"the other process, told to {name} {given}: {reply['refused']}")
        return reply["said"]


def _spelt(mutation: Mutation) -> list[Any]:
    match mutation:
        case Insert(entity=entity, rows=rows):
            return ["insert", entity, rows]
        case Update(entity=entity, identity=identity, changes=changes):
            return ["update", entity, identity, changes]
        case Delete(entity=entity, identities=identities):
            return ["delete", entity, identities]
        case _:
            raise AssertionError(f"the partner does not know {mutation}")


def _read(spelt: list[Any]) -> Mutation:
    match spelt:
        case ["insert", entity, rows]:
            return Insert(entity=entity, rows=tuple(rows))
        case ["update", entity, identity, changes]:
            return Update(entity=entity, identity=tuple(identity), changes=changes)
        case ["delete", entity, identities]:
            return Delete(entity=entity, identities=tuple(map(tuple, identities)))
        case _:
            raise AssertionError(f"{spelt} is no mutation")


# --- there --------------------------------------------------------------------------------------


class Obedient:
    """Does what lines say."""

    def __init__(self) -> None:
        self.database: Database | None = None
        self.held: Snapshot | None = None
        self._known: dict[str, Callable[..., object]] = {
            "open": self.open,
            "write": self.write,
            "ask": self.ask,
            "hold": self.hold,
            "reclaim": self.reclaim,
            "close": self.close,
        }

    def obey(self, line: str) -> str:
        """Do one thing; what came of it."""
        name, given = json.loads(line)
        try:
            return json.dumps({"said": self._known[name](**given)})
        except OrmdbError as error:
            return json.dumps({"refused": repr(error)})

    def open(self, path: str, cache_bytes: int) -> None:
        self.close()
        context = Context(principal=PRINCIPAL, is_system=True)
        self.database = ormdb.open(
            path, schema=SCHEMA, durability="none", cache_bytes=cache_bytes, context=context
        )

    def write(self, mutations: list[Any]) -> int:
        assert self.database is not None
        self.database.run_mutations([_read(each) for each in mutations])
        return self.database.version

    def ask(self, *, number: int, way: Any, as_of: int | None, held: bool) -> str:
        reader = self.held if held else self.database
        assert reader is not None
        return told(answer(reader, Ask(number, way), as_of))

    def hold(self) -> int:
        assert self.database is not None
        if self.held is not None:
            self.held.close()
        self.held = self.database.snapshot()
        return self.held.version

    def reclaim(self, keep: int) -> int:
        assert self.database is not None
        return self.database.reclaim(keep_versions=keep).horizon

    def close(self) -> None:
        if self.database is not None:
            self.database.close()
        self.database = self.held = None


def main() -> None:
    """Obey until the input ends."""
    obedient = Obedient()
    for line in sys.stdin:
        sys.stdout.write(obedient.obey(line) + "\n")
        sys.stdout.flush()
    obedient.close()


if __name__ == "__main__":
    main()
