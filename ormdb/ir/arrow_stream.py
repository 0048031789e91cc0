"""Columns handed to Arrow: a stream of batches behind a PyCapsule, made with ctypes alone.

    export_stream(layout, batches)  ──▶  capsule "arrow_array_stream"
                                           get_schema   of the layout, as often as asked
                                           get_next     one batch each, without copying
                                           release      lets go of the batches not taken

Every struct, also of a child or a dictionary, holds what it points at by itself, since a consumer
may move a child out of its parent and release the parent.  Callbacks are called by whatever thread
the consumer likes; ctypes takes the interpreter's lock for each.

A callback cannot raise: what goes wrong in one is its return code, and `get_last_error` says it.

A consumer may release while a Python exception is on its way through its C code, as when
`pyarrow.table(block).column("no such")` drops a table that has no name.  No Python code can then
run without taking that exception off its way: a release callback first meets it, does its work,
and raises it again, which prints it; who called gets a SystemError in its place.  Where pyarrow is
loaded, it hands the same buffers over itself, with release functions in C, which know no such case.

Invariants (held by tests/unit/ir/test_arrow_stream.py):
  1. What a consumer holds stays valid, whatever it moved, in which order it releases.
  2. An exception of the batches' iterator ends the stream with its sentence, never the process.
  3. A release does its work whatever exception is on its way; nothing is swallowed.
"""

from __future__ import annotations

import array
import ctypes
import errno
import struct
import sys
from collections.abc import Iterator
from typing import Any, Final

from ormdb.ir.arrow_abi import (
    SCHEMA_NAME,
    STREAM_NAME,
    ArrowArray,
    ArrowArrayStream,
    ArrowSchema,
    Get,
    LastError,
    Release,
    bytes_address,
    held,
    hold,
    keep_callback,
    make_capsule,
    pointers_to,
)
from ormdb.ir.columns import Buffers

_NULLABLE: Final = 2
_ORDERED_DICTIONARY: Final = 1
_EXTENSION_NAME: Final = b"ARROW:extension:name"
_EXTENSION_METADATA: Final = b"ARROW:extension:metadata"
_NOTHING: Final = bytes(64)  # where an empty buffer points: no consumer needs to know null


class _Stream:
    """What one stream still has to give."""

    __slots__ = ("batches", "error", "layout")

    def __init__(self, layout: Buffers, batches: Iterator[Buffers]) -> None:
        self.layout = layout
        self.batches = batches
        self.error = b""

    def fail(self, error: BaseException) -> int:
        self.error = f"{type(error).__name__}: {error}".replace("\0", " ").encode(errors="replace")
        return errno.ENOMEM if isinstance(error, MemoryError) else errno.EIO


def export_stream(layout: Buffers, batches: Iterator[Buffers]) -> object:
    """Return a capsule of a stream; every batch has the layout, in the machine's byte order."""
    stream = ArrowArrayStream(
        get_schema=_GET_SCHEMA,
        get_next=_GET_NEXT,
        get_last_error=_GET_LAST_ERROR,
        release=_RELEASE_STREAM,
        private_data=hold(_Stream(layout, batches)),
    )
    return make_capsule(stream, STREAM_NAME)


def hand_over(batch: Buffers) -> object:
    """Return a capsule of a stream of one batch, by pyarrow where it is loaded."""
    pyarrow = sys.modules.get("pyarrow")
    if hasattr(pyarrow, "RecordBatchReader"):  # else some thread is in the middle of importing it
        return _pyarrow_stream(pyarrow, batch)
    # A generator forgets what it gave; a tuple's iterator would keep it as long as the stream.
    return export_stream(batch, (one for one in [batch]))


def export_schema(layout: Buffers) -> object:
    """Return a capsule of the schema alone."""
    schema = ArrowSchema()
    _fill_schema(schema, "", layout)
    return make_capsule(schema, SCHEMA_NAME)


# --- structs --------------------------------------------------------------------------------


def _fill_schema(schema: Any, name: str, layout: Buffers) -> None:
    children = [ArrowSchema() for _ in layout.children]
    for child, (child_name, child_layout) in zip(children, layout.children, strict=True):
        _fill_schema(child, child_name, child_layout)
    form, name_bytes = layout.format.encode() + b"\0", name.encode() + b"\0"
    metadata = _metadata(layout.extension)
    pointers = pointers_to(children)
    dictionary = None
    if layout.dictionary is not None:
        dictionary = ArrowSchema()
        _fill_schema(dictionary, "", layout.dictionary)
    schema.format, schema.name = bytes_address(form), bytes_address(name_bytes)
    schema.metadata = bytes_address(metadata) if metadata else None
    schema.flags = _NULLABLE | (0 if dictionary is None else _ORDERED_DICTIONARY)
    schema.n_children = len(children)
    schema.children = ctypes.addressof(pointers) if children else None
    schema.dictionary = None if dictionary is None else ctypes.addressof(dictionary)
    schema.release = _RELEASE_SCHEMA
    schema.private_data = hold((children, dictionary, pointers, form, name_bytes, metadata))


def _fill_array(target: Any, batch: Buffers) -> None:
    children = [ArrowArray() for _ in batch.children]
    for child, (_, child_batch) in zip(children, batch.children, strict=True):
        _fill_array(child, child_batch)
    dictionary = None
    if batch.dictionary is not None:
        dictionary = ArrowArray()
        _fill_array(dictionary, batch.dictionary)
    addresses = [None if batch.validity is None else _view_address(batch.validity)]
    addresses += map(_view_address, batch.parts)
    buffers = (ctypes.c_void_p * len(addresses))(*addresses)
    pointers = pointers_to(children)
    target.length, target.null_count, target.offset = batch.length, batch.null_count, 0
    target.n_buffers, target.n_children = len(addresses), len(children)
    target.buffers = ctypes.addressof(buffers)
    target.children = ctypes.addressof(pointers) if children else None
    target.dictionary = None if dictionary is None else ctypes.addressof(dictionary)
    target.release = _RELEASE_ARRAY
    target.private_data = hold((children, dictionary, pointers, buffers, batch))


def _view_address(view: memoryview) -> int:
    """Where a buffer is; ours are whole bytes objects and arrays."""
    owner = view.obj
    if view.nbytes == 0:
        return bytes_address(_NOTHING)
    if isinstance(owner, bytes):
        return bytes_address(owner)
    assert isinstance(owner, array.array)
    return owner.buffer_info()[0]


def _metadata(extension: str) -> bytes:
    """Key and value pairs: a count, then each text behind its length, in the machine's order."""
    if not extension:
        return b""
    parts = (_EXTENSION_NAME, extension.encode(), _EXTENSION_METADATA, b"")
    pieces = [struct.pack("=i", len(part)) + part for part in parts]
    return struct.pack("=i", 2) + b"".join(pieces)


# --- pyarrow --------------------------------------------------------------------------------


class _Layout:
    """What pyarrow asks for its schema."""

    __slots__ = ("_layout",)

    def __init__(self, layout: Buffers) -> None:
        self._layout = layout

    def __arrow_c_schema__(self) -> object:
        return export_schema(self._layout)


def _pyarrow_stream(pyarrow: Any, batch: Buffers) -> object:
    schema = pyarrow.schema(_Layout(batch))
    columns = [
        _pyarrow_array(pyarrow, kind, child)
        for kind, (_, child) in zip(schema.types, batch.children, strict=True)
    ]
    made = pyarrow.RecordBatch.from_arrays(columns, schema=schema)
    return pyarrow.RecordBatchReader.from_batches(schema, [made]).__arrow_c_stream__()


def _pyarrow_array(pyarrow: Any, kind: Any, column: Buffers) -> Any:
    if isinstance(kind, pyarrow.BaseExtensionType):
        storage = _pyarrow_array(pyarrow, kind.storage_type, column)
        return pyarrow.ExtensionArray.from_storage(kind, storage)
    buffers = [None if column.validity is None else pyarrow.py_buffer(column.validity)]
    buffers += map(pyarrow.py_buffer, column.parts)
    length, nulls = column.length, column.null_count
    if column.dictionary is not None:
        values = _pyarrow_array(pyarrow, kind.value_type, column.dictionary)
        return pyarrow.DictionaryArray.from_buffers(kind, length, buffers, values, nulls)
    children = [
        _pyarrow_array(pyarrow, kind.field(number).type, child)
        for number, (_, child) in enumerate(column.children)
    ]
    return pyarrow.Array.from_buffers(kind, length, buffers, nulls, children=children)


# --- what consumers call --------------------------------------------------------------------


def _release_node(node: Any) -> None:
    """Release a schema or an array, and those of its children that were not moved away."""
    found = held.pop(node.private_data, None)
    node.release = None
    if found is None:
        return
    children, dictionary, *_ = found
    for child in (*children, *(() if dictionary is None else (dictionary,))):
        if child.release:
            _release_node(child)


# Any call of the interpreter's own functions raises the exception that is on its way.
_meet_exception: Final = ctypes.pythonapi.Py_IsInitialized


def _release_schema(address: int) -> None:
    try:
        _meet_exception()
    finally:
        _release_node(ArrowSchema.from_address(address))


def _release_array(address: int) -> None:
    try:
        _meet_exception()
    finally:
        _release_node(ArrowArray.from_address(address))


def _release_stream(address: int) -> None:
    try:
        _meet_exception()
    finally:
        stream = ArrowArrayStream.from_address(address)
        held.pop(stream.private_data, None)
        stream.release = None


def _get_schema(address: int, out: int) -> int:
    stream: _Stream | None = held.get(ArrowArrayStream.from_address(address).private_data)
    if stream is None:
        return errno.EINVAL  # it was released
    try:
        _fill_schema(ArrowSchema.from_address(out), "", stream.layout)
    except Exception as error:  # noqa: BLE001  (C calls this: nothing may pass)
        return stream.fail(error)
    return 0


def _get_next(address: int, out: int) -> int:
    stream: _Stream | None = held.get(ArrowArrayStream.from_address(address).private_data)
    if stream is None:
        return errno.EINVAL  # it was released
    try:
        target = ArrowArray.from_address(out)
        target.release = None  # a released array is the end of the stream
        batch = next(stream.batches, None)
        if batch is not None:
            _fill_array(target, batch)
    except Exception as error:  # noqa: BLE001  (as above)
        return stream.fail(error)
    return 0


def _get_last_error(address: int) -> int | None:
    stream: _Stream | None = held.get(ArrowArrayStream.from_address(address).private_data)
    return bytes_address(stream.error) if stream is not None and stream.error else None


_RELEASE_SCHEMA: Final = keep_callback(Release(_release_schema))
_RELEASE_ARRAY: Final = keep_callback(Release(_release_array))
_RELEASE_STREAM: Final = keep_callback(Release(_release_stream))
_GET_SCHEMA: Final = keep_callback(Get(_get_schema))
_GET_NEXT: Final = keep_callback(Get(_get_next))
_GET_LAST_ERROR: Final = keep_callback(LastError(_get_last_error))
