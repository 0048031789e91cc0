"""From samples to figures: percentiles, and what they are beside others'.

    samples   0.0071 0.0069 0.0093 ... s      of one contestant in one case
    figure    best 6.9   p50 7.1   p95 9.0   p99 9.3 ms, beside sqlite3 0.71, beside the best 0.71

Beside another, more is always better: 0.5 is half its speed, and of sizes twice its bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

FACTORS: Final = {"µs": 1e6, "ms": 1e3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one contestant needs for one case, in `unit`."""

    case: str
    contestant: str
    unit: str
    samples: int
    best: float  # the best of all samples: what it takes when nobody else wants the processor
    p50: float
    p95: float
    p99: float
    more_is_better: bool = False
    first_p50: float | None = None  # after opening in a new process
    engine_calls: int | None = None
    keys_read: int | None = None
    beside_reference: float | None = None
    beside_best: float | None = None


def percentile(samples: Sequence[float], share: float) -> float:
    """The value that `share` of the samples do not exceed, between two samples if need be."""
    ordered = sorted(samples)
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def figure_of_times(case: str, contestant: str, unit: str, seconds: Sequence[float]) -> Figure:
    """The percentiles of some times."""
    factor = FACTORS[unit]
    return figure_of_amounts(case, contestant, unit, [taken * factor for taken in seconds])


def figure_of_amounts(case: str, contestant: str, unit: str, amounts: Sequence[float]) -> Figure:
    """The percentiles of something that is better when less."""
    return Figure(
        case=case,
        contestant=contestant,
        unit=unit,
        samples=len(amounts),
        best=min(amounts),
        p50=percentile(amounts, 0.5),
        p95=percentile(amounts, 0.95),
        p99=percentile(amounts, 0.99),
    )


def figure_of_rates(case: str, contestant: str, unit: str, rates: Sequence[float]) -> Figure:
    """The percentiles of something that is better when more; the slow end counts as p95."""
    return Figure(
        case=case,
        contestant=contestant,
        unit=unit,
        samples=len(rates),
        best=max(rates),
        p50=percentile(rates, 0.5),
        p95=percentile(rates, 0.05),
        p99=percentile(rates, 0.01),
        more_is_better=True,
    )


def with_ratios(figures: Sequence[Figure], reference: str) -> list[Figure]:
    """The same figures of one case beside the reference and beside the best."""
    if not figures:
        return []
    by_name: Mapping[str, Figure] = {figure.contestant: figure for figure in figures}
    more = figures[0].more_is_better
    best = (max if more else min)(figures, key=lambda figure: figure.p50)
    other = by_name.get(reference)
    return [
        dataclasses.replace(
            figure,
            beside_reference=None if other is None else _speed(figure, other),
            beside_best=_speed(figure, best),
        )
        for figure in figures
    ]


def _speed(figure: Figure, other: Figure) -> float:
    if figure.more_is_better:
        return figure.p50 / other.p50
    return other.p50 / figure.p50
