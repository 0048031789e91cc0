"""What was measured, as JSON for programs and as a page for readers.

    .bench/latest.json      {"format": 1, "clock": "wall", "machine": {...}, "figures": [...]}
    benches/RESULTS.md      a table of all contestants, then every percentile of every case

A program that reads the JSON looks at `format` first; it grows when a name changes its meaning or
goes away, not when one is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from benches.cases import BULK, CASES, SIZE
from benches.figures import Figure
from benches.measure import Outcome, Plan
from benches.roster import OURS, REFERENCE

FORMAT: Final = 1
NOTHING: Final = "-"
WRITTEN: Final = """\
Written by `python -m benches --results`.  What is measured, and how, is in the first lines of the
modules beside this page.
"""
MEDIANS: Final = """\
Medians of warm calls.  In brackets: the speed beside hand-written `sqlite3`, where more is better;
of sizes, 0.5 is twice its bytes.
"""
COLUMNS: Final = """\
*best sample*: what it takes when nobody else wants the processor.  *first*: the first call after
opening in a new process, with the file in the system's cache.  *calls*: internal queries of one
answer.  *keys*: keys read for it.
"""
BUSY: Final = """
**The machine was busy.**  Whoever waited for a processor was timed while waiting, so medians of
more than a millisecond, and the ratios made of them, say little; compare the best samples instead,
or run again with `--cpu`, which counts processor time.
"""
# What is aimed at, beside sqlite3.
GOALS: Final = {
    "identity lookup, dict": 0.4,
    "page graph": 0.7,
    BULK: 0.5,
    SIZE: 0.56,
}
DETAILS: Final = {
    BULK: "300,000 sales of 12 fields, all indexes there beforehand",
    SIZE: "what the sales take after compacting",
    **{case.name: case.detail for case in CASES},
}


def as_json(
    outcome: Outcome, plan: Plan, machine: Mapping[str, object], clock: str
) -> dict[str, Any]:
    """Everything, ready for `json.dumps`."""
    return {
        "format": FORMAT,
        "clock": clock,
        "machine": dict(machine),
        "plan": asdict(plan),
        "figures": [asdict(figure) for figure in outcome.figures],
        "peak_memory_bytes": outcome.memory_bytes,
        "disk_bytes": outcome.disk_bytes,
        "lacks": outcome.lacks,
    }


def contestants_of(outcome: Outcome) -> list[str]:
    """Ours first, then the reference, then the others as they ran."""
    names = list(dict.fromkeys(figure.contestant for figure in outcome.figures))
    return sorted(names, key=lambda name: (name != OURS, name != REFERENCE))


def cases_of(outcome: Outcome) -> list[str]:
    """The cases in the order in which they ran."""
    return list(dict.fromkeys(figure.case for figure in outcome.figures))


def short(value: float) -> str:
    """A figure with as many digits as mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(value: float | None) -> str:
    """Beside another: 1.00× is as fast."""
    return NOTHING if value is None else f"{value:.2f}×"


def optional(value: float | None) -> str:
    """A figure that may not be known."""
    return NOTHING if value is None else short(value)


def as_page(outcome: Outcome, plan: Plan, machine: Mapping[str, Any], *, plot: str | None) -> str:
    """The page for readers, as Markdown."""
    names = contestants_of(outcome)
    parts = [
        "# Results\n",
        WRITTEN,
        _machine_text(machine),
        MEDIANS,
        *_table(["case", "unit", *names], _overview(outcome, names)),
    ]
    if plot is not None:
        parts.append(f"![Speed beside sqlite3]({plot})\n")
    if outcome.memory_bytes:
        parts.append("## Memory and files\n")
        parts.append(
            "The peak of the process that ran all warm cases; the files of what is read.\n"
        )
        parts.extend(_table(["", *names], _resources(outcome, names)))
    for name, lacking in outcome.lacks.items():
        parts.extend(f"{name} lacks *{case}*: {reason}.\n" for case, reason in lacking.items())
    parts.append("## Every case\n")
    parts.append(COLUMNS)
    for case in cases_of(outcome):
        goal = f"  Aimed at: {GOALS[case]}× sqlite3." if case in GOALS else ""
        parts.append(f"### {case}\n\n{_sentence(DETAILS[case])}{goal}\n")
        found = [figure for figure in outcome.figures if figure.case == case]
        parts.extend(_table(_heads(found[0].unit), map(_full_row, found)))
    sizes = ", ".join(f"{name} {count:,}" for name, count in asdict(plan.sizes).items())
    parts.append(f"Sizes: {sizes.replace('_', ' ')}.\n")
    return "\n".join(parts)


def _machine_text(machine: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    text = (
        f"{machine['cpus']} × {machine['processor']}, {machine['memory_gb']} GB,"
        f" {machine['system']}, Python {machine['python']};\n{packages}.\n"
        f"The load of the machine was {machine['load']} when it began.\n"
    )
    return text + BUSY if machine["load"] > machine["cpus"] / 2 else text


def _overview(outcome: Outcome, names: Sequence[str]) -> Iterable[list[str]]:
    for case in cases_of(outcome):
        found = {each.contestant: each for each in outcome.figures if each.case == case}
        unit = next(iter(found.values())).unit
        yield [case, unit, *(_cell(found.get(name)) for name in names)]


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return NOTHING
    if figure.contestant == REFERENCE or figure.beside_reference is None:
        return short(figure.p50)
    return f"{short(figure.p50)} ({figure.beside_reference:.2f}×)"


def _resources(outcome: Outcome, names: Sequence[str]) -> Iterable[list[str]]:
    for label, found in (
        ("peak memory, MB", outcome.memory_bytes),
        ("files, MB", outcome.disk_bytes),
    ):
        yield [label, *(short(found[name] / 1e6) if name in found else NOTHING for name in names)]


def _heads(unit: str) -> list[str]:
    percentiles = [f"p50 {unit}", "p95", "p99", "best sample", "first"]
    return ["", *percentiles, "beside sqlite3", "beside the best", "calls", "keys", "samples"]


def _full_row(figure: Figure) -> list[str]:
    return [
        figure.contestant,
        *(short(value) for value in (figure.p50, figure.p95, figure.p99, figure.best)),
        optional(figure.first_p50),
        ratio(figure.beside_reference),
        ratio(figure.beside_best),
        *(
            NOTHING if count is None else f"{count:,}"
            for count in (figure.engine_calls, figure.keys_read)
        ),
        f"{figure.samples:,}",
    ]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return ["\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"]
