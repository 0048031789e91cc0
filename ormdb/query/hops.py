"""How many engine calls a plan takes: the sum of its hops, whatever the number of rows.

    Flight where origin.name == "Kennedy" order by time limit 50       index by_time         1
                                                                       origin, for the filter 1
      include plane       not enforced: identity index, then rows                            2
      include crew        through Duty: edges and their rows, then the far rows              2
                                                                                         sum 6

A call is a round trip to an engine that lies across a network.  What a plan says here is what
`FetchStatistics.engine_calls` counts at the newest commit, with these exceptions:

  * a level whose rows are all kept in the row cache asks nothing, or half of its calls: fewer
  * a filter over a level without rows asks nothing: fewer calls
  * a page that a path in the filter keeps from filling takes another round of the filter's hops,
    each with four times the rows: more calls, as few as the logarithm of the rows looked at
  * rows whose keys were gathered before (a union, an intersection, a way via other rows) are read
    in rounds of KEYS_ROUND_ROWS: a call for each
  * a level of so many parents that gathering their children is weighed against looking them up
    counts rows and entries, for each way to gather by at most once: some calls more; what is
    gathered takes the calls of its way in place of the look-up's
  * a limited include whose index keys are too long to tell their order is read again in full
  * a value that has no key (2.5 beside an indexed int) turns the way to the roots into a scan
  * a value that does not imply the condition of a partial index turns it into another way
  * a search for one word alone walks one list: fewer calls

Reading the past looks into the history beside each space, batch by batch, and is not counted so.

Invariants (held by tests/unit/query/test_hops.py):
  1. The calls of a fetch equal the hops of its plan, for ten rows and for a hundred thousand.
"""

from __future__ import annotations

from ormdb.query.plan import (
    Access,
    Expand,
    FilterPlan,
    FoldPlan,
    Hop,
    NodePlan,
    QueryPlan,
    RelatedHop,
    Source,
)
from ormdb.storage.layout import RelationLayout


def plan_hops(plan: QueryPlan) -> int:
    """The engine calls of a whole plan."""
    return root_hops(plan.root, plan.access) + sum(map(node_hops, plan.root.children))


def root_hops(root: NodePlan, access: Access) -> int:
    """The engine calls of the roots alone, reached by one way."""
    own = access_hops(access) + _filter_hops(root) + _derived_hops(root)
    if not access.ordered:
        own += hop_calls(root.order.hops)  # an ordered way reads no other rows to sort
    return own


def node_hops(node: NodePlan) -> int:
    """The engine calls of one include and everything below it."""
    return include_hops(node) + sum(map(node_hops, node.children))


def include_hops(node: NodePlan) -> int:
    """The engine calls of one include alone."""
    expand = node.expand
    assert expand is not None
    own = _expand_hops(expand) + _filter_hops(node) + _derived_hops(node)
    if expand.kind != "to_one":
        own += hop_calls(node.order.hops)
    return own


def access_hops(access: Access) -> int:
    """The engine calls of one way to the roots."""
    match access.kind:
        case "identity":
            return 1 if access.index is None else 2
        case "index":
            return 1 if access.many is None else 2
        case "relation":
            relation = access.relation
            assert relation is not None
            by_value = relation.mode == "value" or relation.target_lookup is None
            return 1 if by_value else 2
        case "tokens":
            # One list is walked; of several, how long they are comes first, then the others.
            return 1 if _is_one_list(access) else 3
        case "scan":
            return 1
        case "nothing":
            return 0
        case "union" | "intersection":
            return 1 + sum(map(_keys_hops, access.parts))  # the keys of each, then the rows
        case "via":
            assert access.source is not None
            return 1 + _source_hops(access.source)


def _keys_hops(access: Access) -> int:
    """The engine calls that gather the keys of an access, without its rows."""
    match access.kind:
        case "identity":
            return 0 if access.index is None else 1
        case "union" | "intersection" | "via":
            return access_hops(access) - 1
        case "tokens":
            return 1 if _is_one_list(access) else 2  # how long they are, then those worth it
        case _:
            return access_hops(access)


def _is_one_list(access: Access) -> bool:
    first, *others = access.sought
    return not others and first.function in {"has", "has_key"}


def _source_hops(source: Source) -> int:
    """The calls that read the rows of a source and go from there to the roots' keys."""
    own = access_hops(source.access) + _filter_hops(source.node)
    expand = source.expand
    if expand.kind == "to_one":
        return own + 1
    back = 0 if expand.relation.mode == "slot" or expand.relation.target_lookup is None else 1
    return own + back + (2 if expand.kind == "through" else 0)


def _expand_hops(expand: Expand) -> int:
    if expand.kind == "to_one":
        return _forward_hops(expand.relation)
    if expand.kind == "to_many":
        return 1 if expand.ordered_index is None else 2
    assert expand.far is not None
    return 1 + _forward_hops(expand.far)


def _filter_hops(node: NodePlan) -> int:
    filters: list[FilterPlan | None] = [node.filter, node.far_filter]
    return sum(hop_calls(each.hops) for each in filters if each is not None)


def _derived_hops(node: NodePlan) -> int:
    return 0 if node.derived is None else hop_calls(node.derived.hops)


def hop_calls(hops: tuple[Hop | RelatedHop, ...]) -> int:
    related = [hop for hop in hops if isinstance(hop, RelatedHop)]
    again = {
        id(hop)
        for at, hop in enumerate(related)
        if any(hop.is_read_with(earlier) for earlier in related[:at])
    }
    return sum(_hop_calls(hop) for hop in hops if id(hop) not in again)


def _hop_calls(hop: Hop | RelatedHop) -> int:
    if isinstance(hop, RelatedHop):
        inner = 0 if hop.filter is None else hop_calls(hop.filter.hops)
        if isinstance(hop.asked, FoldPlan):
            inner += hop_calls(hop.asked.hops)
        return _expand_hops(hop.expand) + inner
    return 1 if hop.inverse else _forward_hops(hop.relation)


def _forward_hops(relation: RelationLayout) -> int:
    """By row number: the rows.  By value: the target's index, then the rows."""
    return 1 if relation.mode == "slot" or relation.target_lookup is None else 2
