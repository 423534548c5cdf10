"""The table in the terminal: what it says, and that it redraws only where somebody looks."""

import io
import time

from medsynth_lib.course.batch.plan import Run
from medsynth_lib.course.batch.run import Progress
from medsynth_lib.course.batch.table import Table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress() -> Progress:
    runs = [Run(name, None) for name in "abcd"]
    found = Progress(runs, workers=2)
    found.started({"name": "a", "host": "h", "worker": "0"})
    found.started({"name": "b", "host": "h", "worker": "1"})
    found.started({"name": "b", "host": "h", "worker": "0"})
    nothing = {"seconds": 1.0, "peak_mib": 2.0, "cell": None, "log": "", "error": "lung"}
    found.ended("a", {"stem": "a", "status": "ok", **nothing})
    found.ended("c", {"stem": "c", "status": "memory", **nothing})
    return found


def test_counts_and_what_is_running():
    head, row = Table(Terminal()).lines(progress(), time.monotonic() + 3)
    assert "2/4 · 1 ok, 1 memory" in head.replace(" · 1 memory", ", 1 memory")
    assert "2 workers" in head
    assert row.split() == ["3", "s", "b", "(h", "0,", "attempt", "2)"]


def test_event_that_comes_late_does_not_bring_a_run_back():
    found = progress()
    found.started({"name": "a", "host": "h", "worker": "0"})
    assert "a" not in found.running


def test_log_gets_one_line_a_result_and_no_control_characters():
    log, terminal = io.StringIO(), Terminal()
    for stream in (log, terminal):
        table, found = Table(stream), progress()
        table(found, None)
        table(found, found.results["c"])
        table(found, None)
    assert log.getvalue().splitlines()[0].startswith("memory")
    assert "\x1b" not in log.getvalue()
    assert terminal.getvalue().count("\x1b[2A") == 1  # the two lines drawn before are taken back
