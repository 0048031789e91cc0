"""Mutations: what a transaction does to rows, as values that can be sent and replayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ormdb.ir.value import RowDict, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    """Add rows.  Fields that are absent take their default, else NULL."""

    entity: str
    rows: tuple[RowDict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Change the named fields of one row.  `identity` is in the entity's identity order."""

    entity: str
    identity: tuple[Value, ...]
    changes: RowDict


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Remove rows by identity."""

    entity: str
    identities: tuple[tuple[Value, ...], ...]


Mutation: TypeAlias = Insert | Update | Delete


@dataclass(frozen=True, slots=True, kw_only=True)
class MutationOutcome:
    """What a mutation did: the identities it touched, in the order they were given."""

    entity: str
    identities: tuple[tuple[Value, ...], ...]
