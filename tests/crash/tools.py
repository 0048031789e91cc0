"""What tests need and a machine may lack: programs, named with what brings them, and memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest


def require(program: str, remedy: str) -> str:
    """The path of a program, without which the test is skipped (and, where CI=true, fails)."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed; {remedy}")
    return found


@contextmanager
def memory_folder(otherwise: Path) -> Generator[Path]:
    """A folder where syncs cost nothing, if there is one."""
    memory = Path("/dev/shm")
    is_there = memory.is_dir() and shutil.disk_usage(memory).free > 2**28
    with tempfile.TemporaryDirectory(dir=memory if is_there else otherwise) as folder:
        yield Path(folder)
