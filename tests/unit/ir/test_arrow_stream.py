"""A consumer in ctypes: what it moves stays valid, what it lets go of is let go of."""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ormdb.ir import arrow_abi
from ormdb.ir.arrow_abi import (
    STREAM_NAME,
    ArrowArray,
    ArrowArrayStream,
    ArrowSchema,
    Get,
    LastError,
    capsule_pointer,
    release_struct,
)
from ormdb.ir.arrow_stream import export_schema, export_stream
from ormdb.ir.columns import Buffers, table_buffers
from tests.arrow_libraries import nanoarrow, polars, pyarrow
from tests.unit.ir.arrow_samples import SAMPLES, sample_columns


def batch_of(*names: str) -> Buffers:
    found = sample_columns(*names)
    return table_buffers(found.named_columns(), len(found))


class Handed:
    """Columns handed over by our own callbacks, also where pyarrow is loaded."""

    def __init__(self, *batches: Buffers) -> None:
        self.batches = batches

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return export_stream(self.batches[0], (one for one in self.batches))

    def __arrow_c_schema__(self) -> object:
        return export_schema(self.batches[0])


@pytest.fixture(autouse=True)
def _nothing_is_held_in_the_end() -> Iterator[None]:
    gc.collect()
    before = len(arrow_abi.held), arrow_abi.count_capsules()
    yield
    gc.collect()
    assert (len(arrow_abi.held), arrow_abi.count_capsules()) == before


def moved(struct: Any) -> Any:
    """Take a struct as consumers do: copy it, mark the original released."""
    copy = struct.__class__.from_buffer_copy(struct)
    struct.release = None
    return copy


def stream_of(capsule: object) -> Any:
    return moved(ArrowArrayStream.from_address(capsule_pointer(capsule, STREAM_NAME)))


def call(stream: Any, name: str, out: Any) -> int:
    function: Callable[[int, int], int] = Get(getattr(stream, name))
    return function(ctypes.addressof(stream), ctypes.addressof(out))


def last_error(stream: Any) -> str:
    address = LastError(stream.get_last_error)(ctypes.addressof(stream))
    return ctypes.string_at(address).decode() if address else ""


def child_at(struct: Any, number: int) -> Any:
    pointers = (ctypes.c_void_p * struct.n_children).from_address(struct.children)
    return struct.__class__.from_address(pointers[number])


def ints_of(array: Any) -> list[int]:
    buffers = (ctypes.c_void_p * array.n_buffers).from_address(array.buffers)
    return list((ctypes.c_int64 * array.length).from_address(buffers[1] or 0))


def test_a_stream_gives_its_schema_its_batch_and_then_the_end() -> None:
    stream = stream_of(Handed(batch_of("int")).__arrow_c_stream__())
    schema, array, end = ArrowSchema(), ArrowArray(), ArrowArray(release=7)
    assert call(stream, "get_schema", schema) == call(stream, "get_schema", ArrowSchema()) == 0
    child = child_at(schema, 0)
    assert (ctypes.string_at(child.name), ctypes.string_at(child.format)) == (b"int", b"l")
    assert call(stream, "get_next", array) == 0
    assert ints_of(child_at(array, 0)) == [2**63 - 1, 0, -(2**63)]
    assert call(stream, "get_next", end) == 0
    assert not end.release
    for struct in (schema, array, stream):
        release_struct(struct)
    # The schema that was asked for in passing is still held: this consumer dropped it.
    arrow_abi.held.popitem()
    arrow_abi.held.popitem()


def test_a_child_that_was_moved_outlives_its_parent_and_its_stream() -> None:
    stream = stream_of(Handed(batch_of("text", "int")).__arrow_c_stream__())
    array = ArrowArray()
    assert call(stream, "get_next", array) == 0
    child = moved(child_at(array, 1))
    release_struct(array)
    release_struct(stream)
    gc.collect()
    assert ints_of(child) == [2**63 - 1, 0, -(2**63)]
    release_struct(child)
    assert not child.release


def test_a_release_of_what_was_released_does_nothing() -> None:
    stream = stream_of(Handed(batch_of("enum", "list")).__arrow_c_stream__())
    array = ArrowArray()
    assert call(stream, "get_next", array) == 0
    again = type(array).from_buffer_copy(array)
    late = ArrowArrayStream.from_buffer_copy(stream)
    for struct in (array, array, again, stream, stream):
        release_struct(struct)
    assert call(late, "get_next", ArrowArray()) == call(late, "get_schema", ArrowSchema()) != 0


def test_a_capsule_that_nobody_consumes_holds_nothing_once_it_is_dropped() -> None:
    capsule = Handed(batch_of()).__arrow_c_stream__()
    gc.collect()
    assert capsule_pointer(capsule, STREAM_NAME)  # a collection takes nothing that is in use
    assert arrow_abi.count_capsules() == 1


def test_a_capsule_that_was_consumed_gives_nothing_twice() -> None:
    class Twice:
        def __init__(self) -> None:
            self.capsule = Handed(batch_of("int")).__arrow_c_stream__()

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return self.capsule

    source = Twice()
    assert polars.DataFrame(source).height == 3
    with pytest.raises(ValueError, match="released"):
        polars.DataFrame(source)


def test_an_exception_between_batches_is_the_streams_last_error() -> None:
    def batches() -> Iterator[Buffers]:
        yield batch_of("int")
        raise RuntimeError("the disk is gone")

    class Breaking:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return export_stream(batch_of("int"), batches())

    stream = stream_of(Breaking().__arrow_c_stream__())
    array = ArrowArray()
    assert call(stream, "get_next", array) == 0
    assert last_error(stream) == ""
    assert call(stream, "get_next", ArrowArray()) != 0
    assert last_error(stream) == "RuntimeError: the disk is gone"
    release_struct(array)
    release_struct(stream)
    reader = pyarrow.RecordBatchReader.from_stream(Breaking())
    with pytest.raises(OSError, match="the disk is gone"):
        reader.read_all()
    with pytest.raises(Exception, match="the disk is gone"):
        polars.DataFrame(Breaking())


def test_every_type_reads_alike_over_our_callbacks_and_over_pyarrows() -> None:
    columns = sample_columns()
    handed = Handed(batch_of(), batch_of())
    table = pyarrow.table(columns)
    assert pyarrow.table(handed).equals(pyarrow.concat_tables([table, table]))
    assert polars.DataFrame(Handed(batch_of())).equals(polars.DataFrame(columns))
    assert nanoarrow.Schema(handed).n_fields == len(SAMPLES)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_release_while_an_exception_is_on_its_way_does_its_work() -> None:
    # The temporary table is dropped inside the call that raises KeyError.
    with pytest.raises((KeyError, SystemError)):
        pyarrow.table(Handed(batch_of("int"))).column("nope")


def test_what_pyarrow_hands_over_lets_exceptions_pass() -> None:
    with pytest.raises(KeyError, match="nope"):
        pyarrow.table(sample_columns("int")).column("nope")


def test_threads_read_and_release_streams_side_by_side() -> None:
    batch = batch_of()
    wanted = polars.DataFrame(Handed(batch))
    failed: list[object] = []

    def read() -> None:
        equal = [polars.DataFrame(Handed(batch)).equals(wanted) for _ in range(20)]
        failed.extend(one for one in equal if not one)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_program_may_end_while_a_library_holds_our_buffers() -> None:
    import subprocess
    import sys

    program = (
        "import builtins, polars\n"
        "from tests.unit.ir.test_arrow_stream import Handed, batch_of\n"
        "builtins.kept = polars.DataFrame(Handed(batch_of('int', 'text', 'enum')))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
