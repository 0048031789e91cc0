"""Physical plans: a tree of nodes, one per include, each with the functions made for it.

    NodePlan ()            Airport   access identity        hops 1
      NodePlan departures  Flight    expand relation/2      hops 1   filter, order, limit
        NodePlan plane     Plane     follow tailnum         hops 2   (identity index, then rows)

A plan holds no value of any query: values and page numbers come with each execution.  How many
engine calls a node takes, whatever the number of rows, is counted in `hops`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias
from typing import Literal as Choice

from ormdb.ir.explanation import AccessKind
from ormdb.ir.expr import AggregateFunction, Expr, Quantifier
from ormdb.ir.graph import OrderSpec
from ormdb.ir.schema import ThroughDef
from ormdb.ir.value import Type, Value
from ormdb.storage.layout import EntityLayout, IndexLayout, RelationLayout
from ormdb.storage.multimap import TokenIndex
from ormdb.storage.records import RowDecoder

Guard: TypeAlias = Callable[[Sequence[Value]], bool]  # of converted values
Keyed: TypeAlias = tuple[Type, int, bool]
Mask: TypeAlias = Callable[..., list[bool]]


@dataclass(frozen=True, slots=True, eq=False)
class Hop:
    """A to-one step that a filter or an order takes: from `parent` (-1: the node's rows)."""

    path: tuple[str, ...]  # the relations up to here, as the query names them
    parent: int
    relation: RelationLayout
    inverse: bool
    decoder: RowDecoder


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """How values of related rows become one: `column` gives the values of a batch, `kind` is
    their type; both are None where rows are counted.  It is given `parameters` behind its hops."""

    function: AggregateFunction
    distinct: bool
    kind: Type | None
    column: Callable[..., list[Value]] | None
    hops: tuple[Hop | RelatedHop, ...]
    operand: Expr | None  # what `column` was made of
    parameters: tuple[int, ...] = ()
    is_lasting: bool = False  # the rows' own values decide, and these alone


@dataclass(frozen=True, slots=True, eq=False)
class RelatedHop:
    """What is asked of the rows that a relation leads to, or folded from them: from `parent` (-1:
    the node's rows), of the rows that `filter` keeps."""

    path: tuple[str, ...]  # the last name is the relation
    parent: int
    expand: Expand
    decoder: RowDecoder
    filter: FilterPlan | None
    asked: Quantifier | FoldPlan
    entity: EntityLayout

    @property
    def is_kept(self) -> bool:
        """Whether it folds all children of a row, and so goes only when one of them changes."""
        is_lasting = isinstance(self.asked, FoldPlan) and self.asked.is_lasting
        return is_lasting and self.filter is None and self.expand.kind == "to_many"

    def is_read_with(self, other: RelatedHop) -> bool:
        """Whether what is asked here and there is folded from the same children, read once."""
        return self is other or (
            self.is_kept
            and other.is_kept
            and self.parent == other.parent
            and self.expand.relation is other.expand.relation
        )


@dataclass(frozen=True, slots=True, eq=False)
class DerivedPlan:
    """The values that a node shows under names of their own; `columns` are functions of its rows,
    the hops and the parameters."""

    names: tuple[str, ...]
    types: tuple[Type, ...]
    columns: tuple[Callable[..., list[Value]], ...]
    hops: tuple[Hop | RelatedHop, ...]
    parameters: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class FilterPlan:
    """Which rows stay.  `mask(rows, *hops, *parameters)` says so for a batch."""

    mask: Mask
    hops: tuple[Hop | RelatedHop, ...]
    parameters: tuple[int, ...]
    condition: Expr  # what `mask` was made of


@dataclass(frozen=True, slots=True, eq=False)
class SortKey:
    """One key of an order.  `nulls_low` places NULL before every value before any reversal."""

    column: Callable[..., list[Value]]
    descending: bool
    nulls_low: bool
    nullable: bool


@dataclass(frozen=True, slots=True, eq=False)
class OrderPlan:
    """A total order: the keys, then the row key in the direction of the last of them."""

    keys: tuple[SortKey, ...]
    hops: tuple[Hop | RelatedHop, ...]
    tie_descending: bool
    cursor_types: tuple[Any, ...]
    specs: tuple[OrderSpec, ...] = ()  # what the keys were made of
    parameters: tuple[int, ...] = ()  # which every key is given behind the hops
    is_stored: bool = False  # all keys are stored in the row itself, so that it never changes


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range: a parameter or a constant, included or not."""

    value: Operand
    inclusive: bool


@dataclass(frozen=True, slots=True)
class Operand:
    """A stored value known when the plan runs: parameter `index`, or else `constant`."""

    index: int | None
    constant: Value = None


@dataclass(frozen=True, slots=True)
class Sought:
    """What a function looks for with parameter `parameter` in what an index is over."""

    function: str
    parameter: int


@dataclass(frozen=True, slots=True, eq=False)
class Access:
    """The way to the roots.

    identity  `equal` are the identity's values, or `many` the list of a single one
    index     `equal` fix the first columns; `many`, `low`/`high` or `prefix` restrict the next one
    relation  `equal` are the foreign key's values, in the order of `relation.relation.fields`
    tokens    rows under every token of all that is `sought`
    scan      every row, or those whose int identity lies between `low` and `high`
    union     the rows of all `parts`; intersection, those that all have in common
    via       the rows that those of `source` lead to
    nothing   no row at all
    `ordered`: rows come in the order the query asks for, walking backwards if `reverse`.
    `order_keys`: which keys of the order decide, by position; others are fixed or never reached.
    `guards`: what has to hold of the values of a run, so that no row of the query is missed.
    `is_whole`: it says all that the filter says, which drops few of its rows or none.
    """

    kind: AccessKind
    index: IndexLayout | None = None
    tokens: TokenIndex | None = None
    sought: tuple[Sought, ...] = ()
    guards: tuple[Guard, ...] = ()
    relation: RelationLayout | None = None
    equal: tuple[Operand, ...] = ()
    many: int | None = None
    low: Bound | None = None
    high: Bound | None = None
    prefix: Operand | None = None  # what texts begin with; the value is a text or a pattern
    not_null: bool = False
    ordered: bool = False
    reverse: bool = False
    order_keys: tuple[int, ...] = ()
    is_whole: bool = False
    parts: tuple[Access, ...] = ()
    source: Source | None = None

    @property
    def name(self) -> str:
        """For people: "index by_time", "scan"."""
        if self.parts:
            return f"{self.kind} of {', '.join(part.name for part in self.parts)}"
        if self.source is not None:
            return f"via {self.source.node.entity.name} by {self.source.access.name}"
        if self.tokens is not None:
            return f"{self.tokens.kind} {self.tokens.name}"
        if self.index is not None and self.kind != "identity":
            return f"{self.index.kind} {self.index.name}"
        return self.kind if self.relation is None else f"relation {self.relation.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Rows of another entity, read as roots are, that lead to the roots: over `expand`, which
    goes from the roots to them, taken backwards."""

    node: NodePlan
    access: Access
    expand: Expand
    relation_name: str


class Decoded(Protocol):
    """Rows of an entity, and how they are decoded: all that a way to them has to know."""

    @property
    def entity(self) -> EntityLayout: ...

    @property
    def decoder(self) -> RowDecoder: ...


@dataclass(frozen=True, slots=True, eq=False)
class JoinWay:
    """A way to the children of all parents, and the parameters that it makes keys of."""

    access: Access
    keyed: tuple[Keyed, ...]


@dataclass(frozen=True, slots=True)
class Weighed:
    """A way to children: how many rows it is expected to lead to, what reading these costs, and
    how many of them the filter keeps."""

    way: JoinWay
    rows: float
    cost: float
    kept: float


@dataclass(frozen=True, slots=True, eq=False)
class HashJoin:
    """Children, or edges, gathered by a way of their own and hashed by the parent they refer to:
    what a level may do in place of looking them up parent by parent.

    Every row that the level's condition keeps is among those of each of `ways`.  `weigh` costs
    these for the values of a run.  `filter` is the part of the condition that may be asked of any
    row; `parameters` are those of the whole condition.  A level of fewer parents than `parents_min`
    asks nothing of all this.
    """

    entity: EntityLayout
    decoder: RowDecoder
    ways: tuple[JoinWay, ...]
    weigh: Callable[[Sequence[Value]], list[Weighed]]
    rows: float  # that the entity had when this was planned
    filter: FilterPlan | None
    parameters: tuple[int, ...]
    parents_min: int
    is_whole: bool  # there is no condition: what is gathered are all children


@dataclass(frozen=True, slots=True, eq=False)
class Expand:
    """How a node is reached from its parents.

    to_many   over `relation` backwards: many children of each parent (one, if `single`);
              `ordered_index` has those of one parent in order, the relation's own index in row
              order; `row_order`: the order asked for is that in which they come anyway
    to_one    over `relation` forwards
    through   over the edge entity's rows: `near` backwards, then `far` forwards
    `join` is the other way to children or edges, which a run takes where it is the cheaper one.
    """

    kind: Choice["to_many", "to_one", "through"]
    relation: RelationLayout
    single: bool = False
    ordered_index: IndexLayout | None = None
    ordered_reverse: bool = False
    row_order: bool = False
    far: RelationLayout | None = None
    through: ThroughDef | None = None
    edge_decoder: RowDecoder | None = None
    edge_order: OrderPlan | None = None
    join: HashJoin | None = None


@dataclass(slots=True, eq=False)
class NodePlan:
    """One level of the answer."""

    number: int  # position among all nodes, parents first
    name: str
    path: tuple[str, ...]
    entity: EntityLayout
    fields: tuple[str, ...]
    block_fields: tuple[str, ...]  # the same and the identity, in the order of `columns`
    block_types: tuple[Type, ...]
    decoder: RowDecoder
    dicts: Callable[..., list[dict[str, Value]]]
    columns: Callable[[Sequence[Any]], tuple[list[Value], ...]]
    filter: FilterPlan | None  # by the row's own fields
    far_filter: FilterPlan | None  # by what its relations lead to, asked of the rows that are left
    order: OrderPlan
    order_signature: bytes  # what a cursor has to be of: the entity, and its order
    expand: Expand | None
    relation_name: str
    to_one: bool
    children: list[NodePlan]
    # Of the roots, the other entities that decide which of them a page has (`query.kept_pages`).
    page_entities: tuple[int, ...] | None = None
    derived: DerivedPlan | None = None


@dataclass(frozen=True, slots=True, eq=False)
class QueryPlan:
    """A whole plan.  `converters[i]` makes the stored value of parameter i from what was given."""

    root: NodePlan
    access: Access
    # In place of `access` when a value has no key, as an int of 65 bits.
    scan: Access
    nodes: tuple[NodePlan, ...]
    converters: tuple[Callable[[Value], Value], ...]
    # The parameters that the access path makes keys of, what they have to be for that, and
    # whether they are lists of such.
    keyed: tuple[Keyed, ...]
    # In place of `access` when its guards do not hold, in turn.
    otherwise: tuple[tuple[Access, tuple[Keyed, ...]], ...]
    schema_version: int
