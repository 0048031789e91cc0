"""The line of the program that asked: the innermost frame that is not ormdb's own.

app.py:12 list_airports  ─▶  ormdb/model/face.py fetch  ─▶  …  ─▶  call_site()
"""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_OURS: Final = str(Path(__file__).parent.parent) + os.sep


@dataclass(frozen=True, slots=True)
class CallSite:
    """A line of a program."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


def call_site() -> CallSite:
    """Where the program called into ormdb."""
    frame = inspect.currentframe()
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(_OURS):
            return CallSite(code.co_filename, frame.f_lineno, code.co_name)
        frame = frame.f_back
    return CallSite("ormdb itself", 0, "a thread")
