"""Libraries that read and write Arrow, as a type checker without their stubs sees them."""

from __future__ import annotations

import importlib
from typing import Any

duckdb: Any = importlib.import_module("duckdb")
nanoarrow: Any = importlib.import_module("nanoarrow")
pandas: Any = importlib.import_module("pandas")
polars: Any = importlib.import_module("polars")
pyarrow: Any = importlib.import_module("pyarrow")
