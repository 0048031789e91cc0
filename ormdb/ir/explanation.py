"""How a fetch is answered: the plan of each level, and what it took when it was run.

    Airport at commit 3, schema version 1: 2 engine calls planned
       way      identity (code in ?), 2 rows at most
       order    sorted by row key
       estimate 2 rows
       calls    2
       actual   2 of 2 rows kept, 0 edges, 2 calls, 6 keys, 61 bytes, 0.1 ms
    └─ departures: Flight
          way      to many over Flight.origin, by row key
          ...

An explanation is made from the plan that a fetch runs, and holds no value of the query: what the
query compares with is written as ?.  Its JSON says which form it has, and reads back as an equal
explanation, so that it can be kept, compared and sent.

Invariants (held by tests/unit/ir/test_explanation.py):
  1. `Explanation.from_json(e.to_json()) == e`.
  2. Text has one line for each fact, and never more than one for a name, whatever the name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal as Choice
from typing import TypeAlias

import msgspec

from ormdb.errors import ProtocolError
from ormdb.ir.show import one_line

AccessKind: TypeAlias = Choice[
    "identity",
    "index",
    "relation",
    "tokens",
    "scan",
    "union",
    "intersection",
    "via",
    "nothing",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPath:
    """The way to the roots.

    The fields in `fixed` equal one value each, `listed` one of a list; `ranged` lies between
    bounds, of which `low` and `high` say whether they are there and included.  `ordered`: rows
    come in the order the query asks for.  `sought` are the functions that the tokens of an index
    serve; `where` is the condition of a partial index.  `instead_of` names the planned way if a
    value of this run has no key in it or, unless `is_implied`, leaves what it holds.  A union or
    an intersection is made of `parts`; a way via rows of `entity`, which are found by its only
    part and asked `condition`, is over the relation `name`.
    """

    kind: AccessKind
    name: str | None = None
    sought: tuple[str, ...] = ()
    where: str | None = None
    fixed: tuple[str, ...] = ()
    listed: str | None = None
    ranged: str | None = None
    low: Choice[">", ">="] | None = None
    high: Choice["<", "<="] | None = None
    ordered: bool = False
    reverse: bool = False
    instead_of: str | None = None
    is_implied: bool = True
    parts: tuple[AccessPath, ...] = ()
    entity: str | None = None
    condition: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One relation, and whether rows are found by row key or by the values of the foreign key."""

    relation: str
    by: Choice["row key", "value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """How a level is reached from its parents: over one step, or over two through an edge
    entity, whose rows come by `edge_order`.  `single`: one row of each parent at most."""

    kind: Choice["to_one", "to_many", "through"]
    steps: tuple[Step, ...]
    single: bool = False
    edge_order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterPart:
    """A condition, and the relations that are followed to ask it: none, if it asks the rows'
    own fields alone."""

    condition: str
    hops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """The order of a level, and what gives it: the rows as they lie, an index, or a sort after
    `hops` were followed.  Without keys it is row order."""

    by: Choice["rows", "index", "sort"]
    keys: tuple[str, ...] = ()
    index: str | None = None
    reverse: bool = False
    hops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """What rows are folded into: groups by `keys`, after `hops` were followed.  `counted_by` is
    an index that says how many rows each group has, so that none of them is read but one.
    `distinct`: equal rows of the table are shown once."""

    keys: tuple[str, ...] = ()
    aggregates: tuple[str, ...] = ()
    hops: tuple[str, ...] = ()
    having: str | None = None
    counted_by: str | None = None
    distinct: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The page of the roots, or of each parent's rows."""

    limit: int | None = None
    offset: int = 0
    cursor: Choice["after", "before"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """Rows behind the relation at the end of `path` that `parents_min` parents or more may have
    gathered, by the cheapest of `ways`, and hashed, where that costs less than looking them up."""

    path: tuple[str, ...]
    ways: tuple[AccessPath, ...]
    parents_min: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """How the rows that one relation leads to were found for a level of `parents`: looked up by
    the relation, or gathered and hashed, or hashed before and kept; and what looking up and
    gathering were expected to cost, in rows read."""

    path: tuple[str, ...]
    by: Choice["lookup", "hash", "kept"]
    parents: int
    lookup_cost: float
    hash_cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelActuals:
    """What one level took: `rows_read` before its filters, `rows_kept` after them, and the choices
    that were made, of whose paths that of the level is the first part."""

    rows_read: int
    rows_kept: int
    edges: int
    loops: int
    engine_calls: int
    keys_read: int
    bytes_read: int
    seconds: float
    joins: tuple[Joined, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeExplanation:
    """One level.  `engine_calls` are those planned for it alone; `rows_at_most` is there where
    the number is bounded for certain, and `rows_estimated` is what statistics let expect."""

    path: tuple[str, ...]
    entity: str
    engine_calls: int
    access: AccessPath | None = None  # of the roots
    expansion: Expansion | None = None  # of every other level
    near_filter: FilterPart | None = None
    far_filter: FilterPart | None = None
    gathering: tuple[Gathering, ...] = ()  # of the level, and of what is asked of related rows
    grouping: Grouping | None = None  # of a table with groups
    columns: tuple[str, ...] = ()  # of a table
    order: Ordering | None = None
    limits: Limits = Limits()
    rows_at_most: int | None = None
    rows_estimated: float | None = None
    actual: LevelActuals | None = None
    children: tuple[NodeExplanation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """How much of one budget was used; `allowed` is None for one without bound."""

    name: str
    used: int | float
    allowed: int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a whole run took."""

    rows: int
    edges: int
    engine_calls: int
    keys_read: int
    bytes_read: int
    seconds: float
    plan_was_kept: bool
    budget: tuple[BudgetUse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How a fetch is answered: what `db.explain` returns."""

    format: Choice[1] = 1
    entity: str
    version: int
    schema_version: int
    is_past: bool = False  # history is read beside each space, in calls that no plan counts
    engine_calls: int
    root: NodeExplanation
    totals: Totals | None = None

    def to_json(self) -> str:
        """The explanation as JSON text, on one line."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Explanation:
        """The explanation that JSON text says.

        Raises:
          ProtocolError: the text is not an explanation of this form.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ProtocolError(f"the text is no explanation of format 1: {error}") from error

    def to_text(self) -> str:
        """The explanation as a tree, to be read."""
        return "\n".join(_text(self))

    def nodes(self) -> Iterator[NodeExplanation]:
        """Every level, parents first."""
        open_nodes = [self.root]
        while open_nodes:
            node = open_nodes.pop()
            yield node
            open_nodes.extend(reversed(node.children))

    def __str__(self) -> str:
        return self.to_text()


def _text(whole: Explanation) -> Iterator[str]:
    calls = _counted(whole.engine_calls, "engine call")
    past = ", read through history" if whole.is_past else ""
    yield (
        f"{one_line(whole.entity)} at commit {whole.version}, "
        f"schema version {whole.schema_version}{past}: {calls} planned"
    )
    yield from _node_text(whole.root, "")
    if whole.totals is not None:
        yield from _totals_text(whole.totals)


def _node_text(node: NodeExplanation, margin: str) -> Iterator[str]:
    below = "│" if node.children else " "
    for name, fact in _facts(node):
        yield f"{margin}{below}  {name:<8} {one_line(fact)}".rstrip()
    for at, child in enumerate(node.children, 1):
        last = at == len(node.children)
        shown = f"{child.path[-1]}: {child.entity}"
        yield f"{margin}{'└' if last else '├'}─ {one_line(shown)}"
        yield from _node_text(child, margin + ("   " if last else "│  "))


def _facts(node: NodeExplanation) -> Iterator[tuple[str, str]]:
    if node.access is not None:
        yield "way", _access_text(node.access)
    if node.expansion is not None:
        yield "way", _expansion_text(node.expansion)
    for gathering in node.gathering:
        yield "or", _gathering_text(gathering)
    if node.near_filter is not None:
        yield "filter", node.near_filter.condition
    if node.far_filter is not None:
        hops = ", ".join(node.far_filter.hops)
        yield "filter", f"{node.far_filter.condition}, after following {hops}"
    if node.grouping is not None:
        yield from _grouping_facts(node.grouping)
    if node.columns:
        yield "columns", ", ".join(node.columns)
    if node.order is not None:
        yield "order", _order_text(node.order)
    page = node.limits
    if page != Limits():
        parts = [
            *([f"the first {page.limit}"] if page.limit is not None else []),
            *([f"without {page.offset}"] if page.offset else []),
            *([f"{page.cursor} a cursor"] if page.cursor is not None else []),
        ]
        yield "page", ", ".join(parts) + (" of each parent" if node.path else "")
    if node.rows_at_most is not None:
        yield "at most", _counted(node.rows_at_most, "row")
    if node.rows_estimated is not None:
        yield "estimate", _estimate_text(node.rows_estimated)
    yield "calls", f"{node.engine_calls}"
    if node.actual is not None:
        yield "actual", _actual_text(node.actual)
        for joined in node.actual.joins:
            yield "joined", _joined_text(joined)


def _grouping_facts(grouping: Grouping) -> Iterator[tuple[str, str]]:
    text = f"by {', '.join(grouping.keys)}" if grouping.keys else "all rows"
    if grouping.hops:
        text += f", after following {', '.join(grouping.hops)}"
    if grouping.counted_by is not None:
        text += f", counted in {grouping.counted_by}"
    yield "groups", text + (", equal ones once" if grouping.distinct else "")
    if grouping.aggregates:
        yield "fold", ", ".join(grouping.aggregates)
    if grouping.having is not None:
        yield "having", grouping.having


def _access_text(access: AccessPath) -> str:
    text = _way_text(access)
    if access.ordered:
        text += ", in order" + (", backwards" if access.reverse else "")
    if access.instead_of is not None:
        why = "a value has no key there" if access.is_implied else "a value leaves what it holds"
        text += f", instead of {access.instead_of}: {why}"
    return text


def _way_text(access: AccessPath) -> str:
    parts = "; ".join(map(_way_text, access.parts))
    if access.entity is not None:
        asked = f", where {access.condition}" if access.condition else ""
        return f"via {access.name} from {access.entity} by {parts}{asked}"
    if access.parts:
        return f"{access.kind} of [{parts}]"
    conditions = [f"{name} = ?" for name in access.fixed]
    if access.listed is not None:
        conditions.append(f"{access.listed} in ?")
    if access.ranged is not None:
        ends = [end for end in (access.low, access.high) if end is not None]
        conditions.extend(f"{access.ranged} {end} ?" for end in ends)
        if not ends:
            conditions.append(f"{access.ranged} is not None")
    conditions.extend(access.sought)
    kind = "index" if access.kind == "tokens" else access.kind
    text = kind if access.name is None else f"{kind} {access.name}"
    if conditions:
        text += f" ({', '.join(conditions)})"
    return text if access.where is None else f"{text} where {access.where}"


def _expansion_text(expansion: Expansion) -> str:
    steps = ", then over ".join(f"{step.relation} by {step.by}" for step in expansion.steps)
    text = f"{expansion.kind.replace('_', ' ')}, over {steps}"
    if expansion.edge_order:
        text += f", edges by {', '.join(expansion.edge_order)}"
    return text + (", one row of each parent" if expansion.single else "")


def _gathering_text(gathering: Gathering) -> str:
    texts = map(_way_text, gathering.ways)
    ways = " or ".join(text if text.startswith("via ") else f"by {text}" for text in texts)
    parents = _counted(gathering.parents_min, "parent")
    return f"{'.'.join(gathering.path)} gathered {ways} and hashed, for {parents} or more"


def _joined_text(joined: Joined) -> str:
    text = f"{'.'.join(joined.path)} of {_counted(joined.parents, 'parent')}"
    lookup, gathered = f"{joined.lookup_cost:,.0f}", f"{joined.hash_cost:,.0f}"
    match joined.by:
        case "kept":
            return f"{text} from what was gathered before"
        case "hash":
            return f"{text} gathered and hashed: cost {gathered} instead of {lookup}"
        case "lookup":
            return f"{text} looked up: cost {lookup} instead of {gathered}"


def _order_text(order: Ordering) -> str:
    keys = ", ".join(order.keys) or "row order"
    backwards = " backwards" if order.reverse else ""
    match order.by:
        case "rows":
            return f"{keys}, as the rows lie{backwards}"
        case "index":
            return f"{keys}, as {order.index} has it{backwards}"
        case "sort":
            hops = f", after following {', '.join(order.hops)}" if order.hops else ""
            return f"{keys}, by a sort{hops}"


def _estimate_text(rows: float) -> str:
    """Fractions are told of what is little: a tenth of a row is not none."""
    shown = f"{rows:,.1f}" if rows < 10.0 and not rows.is_integer() else f"{rows:,.0f}"
    return f"{shown} row{'' if shown == '1' else 's'}"


def _actual_text(actual: LevelActuals) -> str:
    return (
        f"{actual.rows_kept:,} of {_counted(actual.rows_read, 'row')} kept, "
        f"{_counted(actual.edges, 'edge')}, {_counted(actual.engine_calls, 'call')}, "
        f"{_counted(actual.keys_read, 'key')}, {_counted(actual.bytes_read, 'byte')}, "
        f"{actual.seconds * 1000:.1f} ms"
    )


def _totals_text(totals: Totals) -> Iterator[str]:
    yield (
        f"took     {_counted(totals.rows, 'row')}, {_counted(totals.edges, 'edge')}, "
        f"{_counted(totals.engine_calls, 'call')}, {_counted(totals.keys_read, 'key')}, "
        f"{_counted(totals.bytes_read, 'byte')}, {totals.seconds * 1000:.1f} ms"
    )
    yield "plan     " + ("kept from before" if totals.plan_was_kept else "made for this run")
    uses = [f"{use.name} {_amount(use.used)} of {_amount(use.allowed)}" for use in totals.budget]
    yield "budget   " + ", ".join(uses)


def _amount(number: float | None) -> str:
    if number is None:
        return "any"
    return f"{number:,}" if isinstance(number, int) else f"{number:,.3f}"


def bounded(bound: float) -> int | float | None:
    """A budget's bound as an explanation has it: None when there is none."""
    return bound if math.isfinite(bound) else None


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
