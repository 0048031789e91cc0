"""Reading the body of an entity class: what is declared, what is inherited, what is strange.

    id: Field[int] = field(identity=True)    a marker with its annotation
    name: Field[str]                         an annotation alone: a marker is made for it
    seats: int                               noted as a mistake
    __policies__ = (...)                     noted as something that is not built
    label = property(...)                    nothing of ours

The class is not judged here.  Mistakes are noted in its declaration, and `build_bundle` reports
those of all classes at once.

Invariants (held by tests/unit/model/test_entity.py):
  1. Fields come bases first, in the order of their declaration; a redeclared one keeps its place.
  2. A base's descriptors are never bound to a class that extends it.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from typing import Any, Final, cast

from ormdb.model.annotation import WORD, Scope, marker_of
from ormdb.model.declaration import Declaration
from ormdb.model.fields import Field, Many, Marker, One
from ormdb.model.objects import ObjectState

_MARKERS: Final[Mapping[str, type[Marker]]] = {"Field": Field, "One": One, "Many": Many}
# What Python itself, and its tools, put into a class body.
_OF_PYTHON: Final = frozenset(
    {
        "__abstractmethods__",
        "__annotate__",
        "__annotate_func__",
        "__annotations__",
        "__annotations_cache__",
        "__classcell__",
        "__classdictcell__",
        "__conditional_annotations__",
        "__doc__",
        "__firstlineno__",
        "__hash__",
        "__match_args__",
        "__module__",
        "__orig_bases__",
        "__parameters__",
        "__qualname__",
        "__slots__",
        "__static_attributes__",
        "__type_params__",
    }
)
_OURS: Final = frozenset({"__checks__", "__hooks__", "__indexes__", "__ormdb__", "__soft_delete__"})


def read_body(
    made: type, declaration: Declaration, own: Mapping[str, Marker], scope: Scope
) -> None:
    """Note what the body says, and what it inherits, bases first."""
    for base in reversed(made.__mro__[1:]):
        if base is not ObjectState:
            _inherit(declaration, base)
    annotations = inspect.get_annotations(made)
    for attribute, annotation in annotations.items():
        declare_member(declaration, attribute, annotation, own.get(attribute), scope)
    for attribute, marker in own.items():
        if attribute not in annotations:
            kind = type(marker).__name__
            declaration.problems.append(
                f"{made.__name__}.{attribute} has no type; write {attribute}: {kind}[...] = ..."
            )
    declaration.indexes += _listed(declaration, "__indexes__", "index")
    declaration.checks += _listed(declaration, "__checks__", "check")
    soft = vars(made).get("__soft_delete__", declaration.soft_delete)
    if not isinstance(soft, bool):
        declaration.problems.append(f"{made.__name__}.__soft_delete__ is {soft!r}; write True")
    declaration.soft_delete = bool(soft)
    _refuse_strangers(made, declaration, annotations)


def _inherit(declaration: Declaration, base: type) -> None:
    noted = vars(base).get("__ormdb__")
    if not isinstance(noted, Declaration):
        _mix_in(declaration, base)
        return
    if not noted.abstract:
        declaration.problems.append(
            f"{declaration.entity.__name__} extends the entity {noted.name}; "
            "put what they share into a class declared with abstract=True"
        )
    # A base of a base is met twice.
    declaration.indexes += tuple(one for one in noted.indexes if one not in declaration.indexes)
    declaration.checks += tuple(one for one in noted.checks if one not in declaration.checks)
    declaration.soft_delete = declaration.soft_delete or noted.soft_delete
    declaration.problems += [one for one in noted.problems if one not in declaration.problems]
    declaration.unknown = {**noted.unknown, **declaration.unknown}
    for attribute, declared in noted.attributes.items():
        marker = vars(base)[attribute]
        _bind(
            declaration,
            attribute,
            marker.bound(declaration.entity, attribute, declared.annotation, declared.scope),
        )


def _mix_in(declaration: Declaration, base: type) -> None:
    """Take fields from a class that is no entity; its own markers stay unbound."""
    scope = Scope(base.__module__, {})
    for attribute, annotation in inspect.get_annotations(base).items():
        if marker_of(annotation, scope) in _MARKERS:
            value = vars(base).get(attribute)
            marker = type(value)(value.given) if isinstance(value, Marker) else None
            declare_member(declaration, attribute, annotation, marker, scope)


def _listed(declaration: Declaration, name: str, maker: str) -> tuple[object, ...]:
    given = vars(declaration.entity).get(name, ())
    if isinstance(given, tuple):
        return cast("tuple[object, ...]", given)
    declaration.problems.append(
        f"{declaration.entity.__name__}.{name} is no tuple; write {name} = ({maker}(...),)"
    )
    return ()


def declare_member(
    declaration: Declaration,
    attribute: str,
    annotation: object,
    marker: Any,
    scope: Scope,
) -> None:
    """Note one annotated name of a body, and put its descriptor into the class."""
    where = f"{declaration.entity.__name__}.{attribute}"
    kind = marker_of(annotation, scope)
    if kind == "ClassVar" or (attribute.startswith("__") and attribute.endswith("__")):
        return
    if kind is None:
        declaration.problems.append(
            f"{where} is annotated {annotation!r}; write Field[type], One[Entity] or Many[Entity]"
        )
        return
    wanted: Any = _MARKERS[kind]
    if marker is None and attribute in vars(declaration.entity):
        declaration.problems.append(
            f"{where} has a value beside its annotation; write = {kind.lower()}(default=...)"
        )
    if marker is not None and type(marker) is not wanted:
        made = type(marker).__name__.lower()
        declaration.problems.append(
            f"{where} is annotated {kind} but made by {made}(); use {kind.lower()}()"
        )
        marker = None
    if marker is None:
        marker = wanted()
    elif not hasattr(marker, "declared"):
        # The object of the class body itself, so that `index(column)` can name it.
        marker.bind(declaration.entity, attribute, annotation, scope)
        _bind(declaration, attribute, marker)
        return
    _bind(declaration, attribute, marker.bound(declaration.entity, attribute, annotation, scope))


def _bind(declaration: Declaration, attribute: str, marker: Any) -> None:
    type.__setattr__(declaration.entity, attribute, marker)
    declaration.attributes[attribute] = marker.declared


def _refuse_strangers(
    made: type, declaration: Declaration, annotations: Mapping[str, object]
) -> None:
    """A name between double underscores that we do not know is a declaration we do not build."""
    for name, value in vars(made).items():
        if not (name.startswith("__") and name.endswith("__")) or name in _OF_PYTHON | _OURS:
            continue
        if callable(value) or isinstance(value, property | classmethod | staticmethod):
            continue
        if not isinstance(value, types.GetSetDescriptorType | types.MemberDescriptorType):
            declaration.unknown = {**declaration.unknown, name: value}
    for name in annotations:
        if name.startswith("__") and name.endswith("__") and name not in _OF_PYTHON | _OURS:
            declaration.unknown = {**declaration.unknown, name: None}


def local_names(made: type, caller: types.FrameType | None) -> dict[str, object]:
    """Names of the function that declares a class, which nobody finds once it has returned.

    Only those that annotations mention are kept: a frame may hold anything.
    """
    if caller is None or "<locals>" not in made.__qualname__:
        return {}
    words = {
        word
        for text in map(str, inspect.get_annotations(made).values())
        for word in WORD.findall(text)
    }
    return {name: caller.f_locals[name] for name in words & caller.f_locals.keys()}
