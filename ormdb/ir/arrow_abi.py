"""The three structs of Arrow's C data interface, and the PyCapsules they travel in.

    ArrowSchema         format "+s", children: name, format
    ArrowArray          length, buffers (addresses), children
    ArrowArrayStream    get_schema, get_next ... get_next, then a released array: the end

    producer                          consumer
    make_capsule(stream) ──────────▶  copies the struct, marks the capsule's one released,
                                      calls release(copy) when it needs it no longer

A struct may be copied anywhere, so it points at nothing of its own: `private_data` is a number
under which `held` keeps what it points at, until its release callback is called.

A capsule has no destructor.  One that is written in Python runs in whatever state the consumer
drops the capsule in, and loses the exception that is on its way there (measured: what pyarrow
refuses became a SystemError).  Instead we keep each capsule ourselves and let go of those that
nobody else has, when the next one is made and when Python collects garbage.

Invariants (held by tests/unit/ir/test_arrow_stream.py):
  1. After a release, by whomever, nothing is held for the struct; a second one does nothing.
  2. A capsule that was dropped, consumed or not, is let go of with all it holds.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import sys
from ctypes import c_char_p, c_int, c_int64, c_void_p, cast
from typing import Any, Final

STREAM_NAME: Final = b"arrow_array_stream"
SCHEMA_NAME: Final = b"arrow_schema"


class ArrowSchema(ctypes.Structure):
    """What a column is."""

    _fields_ = (
        ("format", c_void_p),
        ("name", c_void_p),
        ("metadata", c_void_p),
        ("flags", c_int64),
        ("n_children", c_int64),
        ("children", c_void_p),
        ("dictionary", c_void_p),
        ("release", c_void_p),
        ("private_data", c_void_p),
    )


class ArrowArray(ctypes.Structure):
    """What is in a column."""

    _fields_ = (
        ("length", c_int64),
        ("null_count", c_int64),
        ("offset", c_int64),
        ("n_buffers", c_int64),
        ("n_children", c_int64),
        ("buffers", c_void_p),
        ("children", c_void_p),
        ("dictionary", c_void_p),
        ("release", c_void_p),
        ("private_data", c_void_p),
    )


class ArrowArrayStream(ctypes.Structure):
    """Where arrays of one schema come from."""

    _fields_ = (
        ("get_schema", c_void_p),
        ("get_next", c_void_p),
        ("get_last_error", c_void_p),
        ("release", c_void_p),
        ("private_data", c_void_p),
    )


Release: Final = ctypes.CFUNCTYPE(None, c_void_p)
Get: Final = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)
# A callback that gives c_char_p would leak it; an address is a plain number.
LastError: Final = ctypes.CFUNCTYPE(c_void_p, c_void_p)

# What the structs that consumers have point at, by the number in `private_data`.
held: Final[dict[int, Any]] = {}
_numbers: Final = itertools.count(1)
_capsules: Final[dict[int, tuple[Any, ctypes.Structure]]] = {}


def hold(thing: object) -> int:
    """Keep a thing until the struct with this number is released."""
    number = next(_numbers)
    held[number] = thing
    return number


def keep_callback(callback: Any) -> int:
    """Return the address of a callback, which stays valid until the process ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(callback))
    return cast(callback, c_void_p).value or 0


def bytes_address(data: bytes) -> int:
    """Return where the bytes are; a NUL follows them."""
    return cast(c_char_p(data), c_void_p).value or 0


def pointers_to(structs: list[Any]) -> ctypes.Array[c_void_p]:
    """Return an array of the addresses of structs."""
    return (c_void_p * len(structs))(*map(ctypes.addressof, structs))


def release_struct(struct: Any) -> None:
    """Call a struct's release callback, unless it was released or moved away."""
    if struct.release:
        cast(c_void_p(struct.release), Release)(ctypes.addressof(struct))


# --- capsules -------------------------------------------------------------------------------

_new: Final = ctypes.pythonapi.PyCapsule_New
_new.restype = ctypes.py_object
_new.argtypes = (c_void_p, c_char_p, c_void_p)
_pointer: Final = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype = c_void_p
_pointer.argtypes = (ctypes.py_object, c_char_p)


def make_capsule(struct: ctypes.Structure, name: bytes) -> object:
    """Return a capsule of a struct; consumers take the struct out of it."""
    _let_go()
    capsule: object = _new(ctypes.addressof(struct), name, None)
    _capsules[next(_numbers)] = (capsule, struct)
    if _at_collection not in gc.callbacks:
        gc.callbacks.append(_at_collection)
    return capsule


def capsule_pointer(capsule: object, name: bytes) -> int:
    """Return where the struct of a capsule is.

    Raises:
      ValueError: it is no capsule of this name.
    """
    found: int = _pointer(capsule, name)
    return found


def count_capsules() -> int:
    """How many capsules are in use, or were dropped and not let go of yet."""
    return len(_capsules)


def _references_of_first(pair: tuple[Any, Any]) -> int:
    return sys.getrefcount(pair[0])


# How many references there are to what only its pair has, counted in the same way.
_ALONE: Final = _references_of_first((object(), None))


def _let_go() -> None:
    """Release what is in capsules that nobody else has.

    Two threads may look at once: only one of them pops a pair, and releases it.
    """
    for number, pair in list(_capsules.items()):
        if _references_of_first(pair) <= _ALONE and _capsules.pop(number, None) is not None:
            release_struct(pair[1])


def _at_collection(phase: str, info: dict[str, int]) -> None:
    if phase == "start":
        _let_go()
        if not _capsules:
            gc.callbacks.remove(_at_collection)
