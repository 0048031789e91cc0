"""Where and with what something was measured, without names of hosts or paths.

{"processor": "...", "cpus": 2, "memory_gb": 23, "system": "Linux 6.1", "python": "3.11.7",
 "load": 3.1, "packages": {"ormdb": "0.1.0", "lmdb": "3.0.1", ...}}
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

# What ormdb itself stands on, besides the contestants' own packages.
ENGINE_PACKAGES: Final = ("ormdb", "lmdb", "msgpack", "msgspec")


def describe_machine(packages: Sequence[str]) -> dict[str, object]:
    """Processor, memory, versions, and how busy it is now.

    Args:
      packages: contestants' packages whose versions are wanted.
    """
    wanted = (*ENGINE_PACKAGES, *packages)
    versions: Mapping[str, str] = {name: importlib.metadata.version(name) for name in wanted}
    return {
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "packages": {**versions, "sqlite": sqlite3.sqlite_version},
    }


def _processor() -> str:
    """The model; platforms that do not say it give their architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1) if found else platform.machine()
