"""Counters and sizes of an open database."""

from __future__ import annotations

from dataclasses import dataclass

from ormdb.database.analyzing import AnalysisStatistics
from ormdb.database.reading import Snapshot
from ormdb.query.cache import PlanCacheStatistics
from ormdb.storage.engine import EngineStatistics
from ormdb.storage.row_cache import RowCacheStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseStatistics:
    """Counters and sizes of an open database."""

    version: int
    schema_version: int
    horizon: int
    rows: dict[str, int]
    engine: EngineStatistics
    plans: PlanCacheStatistics
    rows_kept: RowCacheStatistics | None  # None when nothing may be kept
    analysis: AnalysisStatistics


def count_rows(snapshot: Snapshot) -> dict[str, int]:
    """How many rows each entity has."""
    view = snapshot.view()
    return {name: view.row_count(entity) or 0 for name, entity in snapshot.layout.entities.items()}
