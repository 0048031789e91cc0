"""The answer to a fetch as typed objects, made when they are read.

    result = db.fetch(Airport.where(...).include(Airport.departures.include(Flight.plane)))

    block ()                   node: 2 Airport      links  departures ──> node: 4 Flight
    block (departures)                                     plane ──────> node: 3 Plane
    block (departures, plane)

    result[0].departures[1].plane     a position in a link, then an object of the next node

The objects of a block are made at once, when the first of them is read, and a row that several
parents reach is one object.  Until then an answer is its blocks; `len(result)` asks for neither.

Invariants (held by tests/unit/model/test_result.py):
  1. Within one include, one row is one object, whichever parent leads to it.
  2. Making objects converts no value: what is not read costs nothing.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar, overload

from ormdb.errors import QueryError
from ormdb.ir.result import EdgeBlock, EntityBlock, FetchStatistics, GraphBlocks
from ormdb.ir.value import RowDict, Value
from ormdb.model.declaration import declaration_of
from ormdb.model.objects import NOT_LOADED, ObjectNode, ObjectState, set_at, set_node
from ormdb.model.relation import Inclusion
from ormdb.session import Answer

E_co = TypeVar("E_co", covariant=True)

_OBJECTS_SHOWN: Final = 3


class _Link:
    """The edges from the objects of one node to those of another."""

    __slots__ = ("_many", "_offsets", "_targets", "node")

    def __init__(self, node: BlockNode, edges: EdgeBlock) -> None:
        self.node = node
        self._offsets = edges.offsets
        self._targets = edges.targets
        self._many: dict[int, tuple[object, ...]] = {}

    def follow(self, at: int) -> object:
        objects = self.node.objects
        if self._offsets is None:
            target = self._targets[at]
            return None if target < 0 else objects[target]
        found = self._many.get(at)
        if found is None:
            positions = self._targets[self._offsets[at] : self._offsets[at + 1]]
            found = tuple([objects[position] for position in positions])
            self._many[at] = found
        return found


_run_all: Final[Callable[[Iterable[Any]], object]] = collections.deque[Any](maxlen=0).extend


class BlockNode(ObjectNode):
    """The node of the objects of one entity block."""

    __slots__ = ("_identity", "_kind", "_objects", "answer", "links", "path")

    def __init__(self, kind: type[Any], block: EntityBlock, answer: object = None) -> None:
        super().__init__(dict(zip(block.fields, block.columns, strict=True)))
        self._identity: tuple[Sequence[Value], ...] = tuple(
            self.columns[name] for name in block.identity
        )
        self.path = block.path
        self.answer = answer
        self._kind = kind
        self._objects: list[Any] | None = None
        self.links: dict[str, _Link] = {}

    @property
    def objects(self) -> list[Any]:
        """All objects of the block, by position."""
        if self._objects is None:
            count = len(self._identity[0])
            made: list[Any] = [*map(object.__new__, itertools.repeat(self._kind, count))]
            # No Python code runs per object: maps over C functions, run to their end.
            _run_all(map(set_node, made, itertools.repeat(self)))
            _run_all(map(set_at, made, range(count)))
            self._objects = made
        return self._objects

    def identity_at(self, at: int) -> tuple[Value, ...] | None:
        return tuple([column[at] for column in self._identity])

    def related(self, name: str, at: int) -> object:
        link = self.links.get(name)
        return NOT_LOADED if link is None else link.follow(at)

    def related_names(self) -> Iterable[str]:
        return self.links


class Result(Sequence[E_co]):
    """The rows of an answer as a sequence of objects; immutable."""

    __slots__ = ("_answer", "_classes", "_entity", "_root")

    def __init__(
        self, answer: Answer, entity: type[E_co] | str, classes: Callable[[str], type[Any]]
    ) -> None:
        self._answer = answer
        self._entity = entity
        self._classes = classes
        self._root: BlockNode | None = None

    @property
    def blocks(self) -> GraphBlocks:
        """Entity and edge blocks, as `ir` has them."""
        return self._answer.blocks

    @property
    def statistics(self) -> FetchStatistics:
        """What the fetch cost."""
        return self._answer.statistics

    @property
    def next_cursor(self) -> str | None:
        """Where the following page begins; None when this page is the last."""
        return self._answer.next_cursor

    @property
    def previous_cursor(self) -> str | None:
        """Where the page before ends; None when this page is the first."""
        return self._answer.previous_cursor

    def next_cursor_of(self, parent: object, relation: Inclusion[Any, Any] | str) -> str | None:
        """Where the following page of one parent's rows begins, for `after` of the relation.

        Args:
          parent: an object of this answer.
          relation: what was included with a limit, or the name under which it is shown.

        Returns:
          None when the page is not full; after a full one, the next page may be empty.

        Raises:
          QueryError: the object is of another answer, or the relation has no pages.
        """
        return self._cursors_of(parent, relation)[1]

    def previous_cursor_of(self, parent: object, relation: Inclusion[Any, Any] | str) -> str | None:
        """Where the page before one parent's rows ends; see `next_cursor_of`."""
        return self._cursors_of(parent, relation)[0]

    def _cursors_of(
        self, parent: object, relation: Inclusion[Any, Any] | str
    ) -> tuple[str | None, str | None]:
        node = parent.__ormdb_node__ if isinstance(parent, ObjectState) else None
        self._objects()
        if not isinstance(node, BlockNode) or node.answer is not self._answer:
            raise QueryError(f"{parent!r} is no object of this answer; take one of its own")
        name = relation if isinstance(relation, str) else relation.spec.name
        assert isinstance(parent, ObjectState)
        return self._answer.cursors_of((*node.path, name), parent.__ormdb_at__)

    def to_dicts(self) -> list[RowDict]:
        """The graph as nested dicts, by the names of the schema."""
        return self._answer.dicts()

    def arrow(self, node: str | type[Any] = "") -> EntityBlock:
        """The table of one include node, each row once, for whoever reads Arrow.

        Args:
          node: the relations from the roots to the node, as in "departures.plane"; or the class of
            its rows, if only one node has such.  The roots when left out.

        Raises:
          QueryError: the answer has no such node, or several.
        """
        return find_block(self._answer.blocks, node)

    def arrow_edges(self, node: str | type[Any]) -> EdgeBlock:
        """Which rows of `arrow(node)` belong to which rows of the node above, as positions."""
        blocks = self._answer.blocks
        path = find_block(blocks, node).path
        for edge in blocks.edges:
            if edge.path == path:
                return edge
        raise QueryError("nothing leads to the roots; name a relation that was included")

    def to_pandas(self, node: str | type[Any] = "") -> Any:
        """The table of one include node as a pandas.DataFrame; see `arrow`.

        Raises:
          UnsupportedError: pandas or pyarrow is not installed.
        """
        return self.arrow(node).to_pandas()

    def _objects(self) -> list[Any]:
        if self._root is None:
            kind = self._entity if isinstance(self._entity, type) else self._classes(self._entity)
            self._root = root_node(self._answer.blocks, kind, self._classes, self._answer)
        return self._root.objects

    def __len__(self) -> int:
        return len(self._answer)

    def __iter__(self) -> Iterator[E_co]:
        return iter(self._objects())

    @overload
    def __getitem__(self, at: int) -> E_co: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[E_co, ...]: ...
    def __getitem__(self, at: int | slice) -> Any:
        found = self._objects()[at]
        return tuple(found) if isinstance(at, slice) else found

    def __repr__(self) -> str:
        shown = [repr(one) for one in self[:_OBJECTS_SHOWN]]
        if len(self) > _OBJECTS_SHOWN:
            shown.append("…")
        name = self._entity if isinstance(self._entity, str) else self._entity.__name__
        return f"<{len(self)} {name}: {', '.join(shown)}>"


def find_block(blocks: GraphBlocks, node: str | type[Any]) -> EntityBlock:
    """Return the block of the node that a path or a class names.

    Raises:
      QueryError: there is no such node, or several.
    """
    if isinstance(node, str):
        found = [block for block in blocks.entities if ".".join(block.path) == node]
    else:
        name = declaration_of(node).name
        found = [block for block in blocks.entities if block.entity == name]
    if len(found) == 1:
        return found[0]
    asked = repr(node) if isinstance(node, str) else node.__name__
    among = found or blocks.entities
    paths = ", ".join(repr(".".join(block.path)) for block in among)
    fact = "is several nodes of" if found else "is no node of"
    raise QueryError(f"{asked} {fact} this answer; name one of the paths {paths}", node=asked)


def root_node(
    blocks: GraphBlocks,
    entity: type[Any],
    classes: Callable[[str], type[Any]],
    answer: object = None,
) -> BlockNode:
    """Return the node of the roots, linked to those of the includes.

    Args:
      blocks: the answer.
      entity: the class of the roots.
      classes: gives the class of an entity that no class leads to.
      answer: by which objects of this answer are told from those of others.
    """
    kinds: dict[tuple[str, ...], type[Any]] = {(): entity}
    nodes: dict[tuple[str, ...], BlockNode] = {}
    edges = {edge.path: edge for edge in blocks.edges}
    for block in blocks.entities:
        if block.path:
            parent = kinds[block.path[:-1]]
            kinds[block.path] = _class_of(parent, edges[block.path].relation, block.entity, classes)
        node = BlockNode(kinds[block.path], block, answer)
        nodes[block.path] = node
        if block.path:
            nodes[block.path[:-1]].links[block.path[-1]] = _Link(node, edges[block.path])
    return nodes[()]


def _class_of(
    parent: type[Any], relation: str, entity: str, classes: Callable[[str], type[Any]]
) -> type[Any]:
    """The class that the parent's own declaration names goes before any other."""
    declared = declaration_of(parent).relations.get(relation)
    target = None if declared is None else declared.known_target
    if target is not None and declaration_of(target).name == entity:
        return target
    return classes(entity)
