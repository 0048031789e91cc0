"""A database of plain dicts over time: the state that each commit left."""

from __future__ import annotations

from ormdb.ir.schema import SchemaBundle
from tests.oracle.plain import PlainState


class PlainDatabase:
    """States by commit, and the one being made."""

    def __init__(self, bundle: SchemaBundle, *, version: int, wall_us: int) -> None:
        self.version = version
        self.states = {version: PlainState.empty(bundle)}
        self.times = {version: wall_us}

    @property
    def newest(self) -> PlainState:
        return self.states[self.version]

    def commit(self, state: PlainState, *, version: int, wall_us: int) -> None:
        """Keep the state that a commit left."""
        self.version = version
        self.states[version] = state
        self.times[version] = wall_us

    def version_at(self, wall_us: int) -> int | None:
        """The newest commit made at or before a moment."""
        found = [v for v, made_us in self.times.items() if made_us <= wall_us]
        return max(found, default=None)

    def forget_before(self, horizon: int) -> None:
        """Keep no state older than the horizon."""
        for version in [v for v in self.states if v < horizon]:
            del self.states[version], self.times[version]
