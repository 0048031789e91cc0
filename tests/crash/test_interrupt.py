"""Holds that Ctrl-C at any point of a fetch, a stream or a transaction leaves a usable database."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.box import Box

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.soak(seconds=10, cases_min=100)
def test_a_program_that_is_interrupted_anywhere_goes_on(box: Box, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.interrupted", str(tmp_path / "bank.ormdb")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    pause = threading.Event()
    rng = random.Random(3)
    sent = 0
    for _ in box.seeds():
        pause.wait(rng.uniform(0.0005, 0.02))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGINT)
        sent += 1
        box.count(1)
    pause.wait(0.2)
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=60)
    assert out.startswith("ok "), error
    interrupts = int(out.split()[1])
    assert interrupts > sent // 20
