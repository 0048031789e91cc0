"""Programs that tests need and a machine may lack: named, with what brings them."""

from __future__ import annotations

import shutil

import pytest


def require(program: str, remedy: str) -> str:
    """The path of a program, without which the test is skipped (and, where CI=true, fails)."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed; {remedy}")
    return found
