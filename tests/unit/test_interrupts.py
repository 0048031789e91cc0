"""Holds that an interrupt inside a block is raised at its end, and ends what waits inside."""

from __future__ import annotations

import signal
import threading

import pytest

from ormdb.interrupts import raise_if_interrupted, uninterrupted


def test_an_interrupt_waits_for_the_end_of_the_outermost_block() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        with uninterrupted():
            with uninterrupted():
                signal.raise_signal(signal.SIGINT)
                done.append("inner")
            done.append("outer")
        done.append("never")
    assert done == ["inner", "outer"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_wait_inside_a_block_is_ended_once() -> None:
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        raise_if_interrupted()
        signal.raise_signal(signal.SIGINT)
        raise_if_interrupted()
    raise_if_interrupted()


def test_an_error_inside_a_block_does_not_swallow_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        raise ValueError


def test_a_handler_that_ignores_is_left_alone() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            raise_if_interrupted()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_neither_wait_nor_raise() -> None:
    found: list[object] = []

    def work() -> None:
        with uninterrupted():
            found.append(uninterrupted.innermost)
            raise_if_interrupted()

    other = threading.Thread(target=work)
    other.start()
    other.join()
    assert found == [None]
