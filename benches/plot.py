"""The overview as a picture: for each case a row of dots, one per contestant, by speed.

    page graph     django ●      ormdb ●   | sqlite3
                   0.1×          0.7×      1×

The axis is logarithmic.  matplotlib is part of the extra `bench` only; without it there is no
picture and everything else goes on.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from benches.measure import Outcome
from benches.report import cases_of, contestants_of
from benches.roster import OURS, REFERENCE

COLORS = ("#b3261e", "#1a1a1a", "#5b8c5a", "#3d6a9e", "#b08a2e", "#7d5a9e", "#4aa3a3")
WANTED = "matplotlib"


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec(WANTED) is not None


def write_plot(outcome: Outcome, path: Path) -> None:
    """Write an SVG; the same figures make the same file."""
    matplotlib: Any = importlib.import_module(WANTED)
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "benches"
    pyplot: Any = importlib.import_module(f"{WANTED}.pyplot")
    cases = cases_of(outcome)
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.38 * len(cases)), layout="constrained")
    for name, color in zip(contestants_of(outcome), COLORS, strict=False):
        if name == REFERENCE:
            continue
        dots = [
            (each.beside_reference, cases.index(each.case))
            for each in outcome.figures
            if each.contestant == name and each.beside_reference is not None
        ]
        ours = name == OURS
        axes.scatter(
            [speed for speed, _ in dots],
            [row for _, row in dots],
            color=color,
            label=name,
            s=70 if ours else 30,
            zorder=3 if ours else 2,
        )
    axes.axvline(1.0, color=COLORS[1], linewidth=1, label=REFERENCE)
    axes.set_xscale("log")
    axes.set_yticks(range(len(cases)), cases)
    axes.invert_yaxis()
    axes.grid(axis="both", color="#dddddd", linewidth=0.6)
    axes.set_xlabel(f"speed beside hand-written {REFERENCE}; more is better")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=7, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
