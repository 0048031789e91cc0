"""Pages of roots that were asked for before: their keys are kept, and nothing is walked again.

    Order where state == "paid" and placed < 1700 limit 20

    asked first     walk the index, filter, keep       ("paid", 1700, 20, 0) -> keys, more follow
    asked again     the keys, and the rows they lead to, most of which are kept decoded

A page is a group of rows of its entity (`ormdb/storage/row_cache.py`), so any change of the entity
takes it off.  Where the filter or the order reads rows of other entities, when those changed last
is part of the key: after a change of theirs nobody asks for the old key again.  A condition whose
answer changes by itself, as with now(), keeps no page; neither does a page from a cursor.

Only the keys are kept here, as the rows are kept, weighed and forgotten where all rows are.

Invariants (held by tests/property/test_row_cache.py and tests/unit/query/test_kept_pages.py):
  1. A page that is found is the page that would be read.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Hashable, Iterator, Sequence
from typing import Final

from ormdb.ir.bind import walk_related
from ormdb.ir.expr import Call, Expr
from ormdb.query.decoded import decoded_rows
from ormdb.query.follow import Level
from ormdb.query.plan import Expand, FoldPlan, Hop, NodePlan, RelatedHop
from ormdb.query.ready import ReadyQuery
from ormdb.query.root_page import RootResult
from ormdb.storage.row_cache import RowCache, Shelf
from ormdb.storage.views import View

_KEY_BYTES: Final = 50  # of a row key and its place in a list, about
# Of these, equal ones ask for the same rows; of others, as lists, a key might hold much.
KEPT_CLASSES: Final = frozenset(
    {
        int,
        float,
        bool,
        str,
        bytes,
        decimal.Decimal,
        uuid.UUID,
        datetime.datetime,
        datetime.date,
        datetime.time,
        datetime.timedelta,
    }
)


def kept_page(ready: ReadyQuery, view: View) -> RootResult | None:
    """The roots of a query's page, if they are kept."""
    place = _place_of(ready, view)
    if place is None:
        return None
    cache, shelf, key = place
    root = ready.plan.root
    found = cache.look(root.entity.entity.id, shelf, (key,), view.version)
    if found is None or found[0] is None:
        return None
    keys, more, ends = found[0]
    rows = decoded_rows(view, root.entity, keys, root.decoder)
    if None in rows:  # damage, of which reading tells
        return None
    return RootResult(Level(rows, list(keys)), more, ends)


def keep_page(ready: ReadyQuery, view: View, roots: RootResult) -> None:
    """Keep the roots of a query's page, as they were read."""
    place = _place_of(ready, view)
    if place is None or not KEPT_CLASSES.issuperset(map(type, ready.values)):
        return
    cache, shelf, key = place
    keys = roots.level.keys
    texts = sum(len(value) for value in ready.values if isinstance(value, str | bytes))
    kept = list(keys), roots.more, roots.ends
    number = ready.plan.root.entity.entity.id
    cache.leave(number, shelf, {key: kept}, _KEY_BYTES * len(keys) + texts, view.version)


def _place_of(ready: ReadyQuery, view: View) -> tuple[RowCache, Shelf, Hashable] | None:
    """Where a page is kept, and under which key; None for one that is not kept at all."""
    root, page = ready.plan.root, ready.page
    cache, others = view.cache, root.page_entities
    if cache is None or others is None or page.place is not None:
        return None
    shelf = cache.groups(root.entity.entity.id, ("page", root), view.version)
    changed = cache.changed(others, view.version) if others else ()
    if shelf is None or changed is None:
        return None
    key = (*ready.values, page.limit, page.offset, *changed)
    try:
        hash(key)
    except TypeError:  # a list or a dict among the values
        return None
    return cache, shelf, key


def page_entities(root: NodePlan) -> tuple[int, ...] | None:
    """The numbers of the entities, besides the root's own, that decide which roots a page has;
    None if something else does."""
    found: set[int] = set()
    filters = [plan for plan in (root.filter, root.far_filter) if plan is not None]
    asked = [*(plan.condition for plan in filters), *(spec.key for spec in root.order.specs)]
    if any(map(_changes_by_itself, asked)):
        return None
    for hops in (*(plan.hops for plan in filters), root.order.hops):
        found.update(_entities_of(hops))
    return tuple(sorted(found - {root.entity.entity.id}))


def _changes_by_itself(expr: Expr) -> bool:
    return any(
        isinstance(node, Call) and node.name in {"now", "uuid7"} for node in walk_related(expr)
    )


def _entities_of(hops: Sequence[Hop | RelatedHop]) -> Iterator[int]:
    for hop in hops:
        if isinstance(hop, Hop):
            yield hop.relation.source.entity.id
            yield hop.relation.target.entity.id
            continue
        yield hop.entity.entity.id
        yield from _entities_of_step(hop.expand)
        if hop.filter is not None:
            yield from _entities_of(hop.filter.hops)
        if isinstance(hop.asked, FoldPlan):
            yield from _entities_of(hop.asked.hops)


def _entities_of_step(expand: Expand) -> Iterator[int]:
    for relation in (expand.relation, expand.far):
        if relation is not None:
            yield relation.source.entity.id
            yield relation.target.entity.id
