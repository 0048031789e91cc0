"""What every test shares: the time box of seeded suites, Hypothesis profiles, no skips in CI."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.box import Box, open_box

ROOT = Path(__file__).parent.parent
IN_CI = os.environ.get("CI") == "true"

# No deadlines: timings never decide whether a test passes.
settings.register_profile(
    "here", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if IN_CI else "here")


@pytest.fixture
def box(request: pytest.FixtureRequest) -> Iterator[Box]:
    """The time box of the suite that carries the `soak` mark."""
    mark = request.node.get_closest_marker("soak")
    assert mark is not None, "a test with a box is marked @pytest.mark.soak(seconds=, cases_min=)"
    suite = request.node.name.removeprefix("test_")
    opened = open_box(suite, folder=ROOT, **mark.kwargs)
    yield opened
    opened.write_log(failed=opened.seed is not None)
    request.node.user_properties.append(("box", opened.summary()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips itself in CI has not been run, so there it fails."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {item.nodeid}: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases each boxed suite ran."""
    lines = [
        str(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "teardown"
        for name, value in report.user_properties
        if name == "box"
    ]
    if lines:
        terminalreporter.section("boxed suites")
        for line in sorted(lines):
            terminalreporter.write_line(line)
