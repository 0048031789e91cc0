"""The process of one contestant: it takes one order per line, and answers each with one line.

    python -m benches.worker benches.by_sqlite:BySqlite FOLDER '{"customers": 1000, ...}'

    {"do": "fill"}                                           {"ok": null}
    {"do": "answer", "case": "page graph", "number": 0}      {"ok": [{"id": 17, ...}]}
    {"do": "time", "case": "page graph", "number": 100, ...} {"ok": [0.0071]}
    {"do": "anything else"}                                  {"error": "..."}

A process of its own gives every contestant its own memory, caches and garbage.  What is timed is
the call alone: arguments are made before the clock starts, and answers dropped after it stops.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import re
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TextIO

from benches import data
from benches.cases import BY_NAME
from benches.contestant import Contestant
from benches.data import Sizes
from benches.tables import WORLDS

CPU_CLOCK: Final = "BENCHES_CPU_CLOCK"  # set: count processor time, for a machine that is busy
SAMPLE_ROWS: Final = 100  # rows that are read back after a bulk load


def clock_s() -> float:
    """Seconds on the wall, or of the processor."""
    return time.process_time() if CPU_CLOCK in os.environ else time.perf_counter()


class Worker:
    """Does what it is told with one contestant; every public method is an order."""

    def __init__(self, contestant: Contestant, sizes: Sizes) -> None:
        self._contestant = contestant
        self._sizes = sizes

    def lacks(self) -> dict[str, str]:
        """The cases that the contestant cannot do, and why."""
        return dict(self._contestant.lacks)

    def fill(self) -> None:
        """Make the world that is read, and stay open."""
        self._contestant.create("reads")
        for table in WORLDS["reads"]:
            self._contestant.fill(table, data.rows_of(table, self._sizes))
        self._contestant.settle()

    def open(self) -> None:
        """Open the world that is read."""
        self._contestant.open("reads")

    def close(self) -> None:
        """Close it."""
        self._contestant.close()

    def answer(self, case: str, number: int) -> object:
        """The answer of one call, or what a write has written, to be compared."""
        wanted = BY_NAME[case]
        arguments = wanted.arguments_of(self._sizes, number)
        found: object = getattr(self._contestant, wanted.method)(*arguments)
        if wanted.read_back is not None:
            method, arguments = wanted.read_back(arguments)
            return getattr(self._contestant, method)(*arguments)
        if wanted.columns and found is not None:
            return {name: getattr(found, name) for name in wanted.columns}
        return found

    def time(self, case: str, number: int, calls: int, seconds_max: float) -> list[float]:
        """Seconds of each of some calls, beginning with the n-th; fewer if they take too long."""
        wanted = BY_NAME[case]
        do: Callable[..., object] = getattr(self._contestant, wanted.method)
        given = [wanted.arguments_of(self._sizes, number + at) for at in range(calls)]
        taken: list[float] = []
        gc.collect()
        gc.freeze()
        ends = time.perf_counter() + seconds_max
        for arguments in given:
            began = clock_s()
            found = do(*arguments)
            taken.append(clock_s() - began)
            del found
            if time.perf_counter() > ends:
                break
        gc.unfreeze()
        return taken

    def first(self, case: str, number: int) -> float:
        """Seconds of the first call after opening again."""
        self._contestant.open("reads")
        (taken,) = self.time(case, number, 1, 0.0)
        self._contestant.close()
        return taken

    def cost(self, case: str, number: int) -> dict[str, int] | None:
        """Calls to the store and keys read for one call."""
        wanted = BY_NAME[case]
        if self._contestant.costs() is None:
            return None
        getattr(self._contestant, wanted.method)(*wanted.arguments_of(self._sizes, number))
        found = self._contestant.costs()
        if not found:
            return None
        return {
            "engine_calls": sum(cost.engine_calls for cost in found),
            "keys_read": sum(cost.keys_read for cost in found),
        }

    def bulk(self) -> dict[str, Any]:
        """Load every sale into empty tables; the rows are made before the clock starts."""
        contestant, sizes = self._contestant, self._sizes
        contestant.create("sales")
        contestant.fill("buyers", data.rows_of("buyers", sizes))
        contestant.fill("products", data.rows_of("products", sizes))
        rows = data.rows_of("sales", sizes)
        gc.collect()
        gc.freeze()
        began = clock_s()
        contestant.bulk_load("sales", rows)
        seconds = clock_s() - began
        gc.unfreeze()
        rng = random.Random(data.SEED)
        picks = [rng.randrange(sizes.sales) + 1 for _ in range(SAMPLE_ROWS)]
        sample = [contestant.get_sale(identity) for identity in picks]
        contestant.compact()
        contestant.close()
        return {"seconds": seconds, "bytes": self.bytes(), "sample": sample}

    def bytes(self) -> int:
        """How much lies in the contestant's folder."""
        return sum(each.stat().st_size for each in self._contestant.folder.rglob("*"))

    def memory(self) -> int:
        """Peak bytes of this process.

        `ru_maxrss` survives the exec that began the process, and so may be the parent's; Linux
        says the process's own peak in /proc.
        """
        try:
            status = Path("/proc/self/status").read_text(encoding="ascii")
        except OSError:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        assert found is not None, "every process has a peak"
        return int(found.group(1)) * 1024


def serve(worker: Worker, orders: TextIO, answers: TextIO) -> None:
    """Carry out orders until there are no more."""
    for line in orders:
        order: dict[str, Any] = json.loads(line)
        name: str = order.pop("do")
        try:
            answer = json.dumps({"ok": getattr(worker, name)(**order)})
        except BaseException:
            answers.write(json.dumps({"error": traceback.format_exc()}) + "\n")
            answers.flush()
            raise
        answers.write(answer + "\n")
        answers.flush()


def main() -> None:
    """Serve on the standard streams; what libraries print goes to the errors."""
    place, folder, sizes = sys.argv[1:]
    module, name = place.split(":")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    contestant: Contestant = getattr(importlib.import_module(module), name)(Path(folder))
    serve(Worker(contestant, Sizes(**json.loads(sizes))), sys.stdin, answers)


if __name__ == "__main__":
    main()
