"""Progress, checked on a stream that is no terminal, on one that says it is, and on a clock that the test moves."""

import io
import os
import signal
import subprocess
import sys

import pytest

from pretraingym.experiments import progress as module
from pretraingym.experiments.progress import LINE_EVERY_S, Progress


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(module, "perf_counter", moved)
    return moved


def test_a_line_that_is_said_stays(clock: Clock) -> None:
    for stream in (io.StringIO(), Terminal()):
        with Progress(stream) as progress:
            progress.stage("try")
            progress.say("it gains [+0.1, +0.2]")
            progress.stage("learn")
        assert "it gains [+0.1, +0.2]" in stream.getvalue()


def test_without_a_terminal_lines_are_plain_and_few(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress.stage("learn", total_seconds_expected=240)
        for step in range(1, 241):
            clock.now += 1
            progress.update(step, 240, tokens_per_s=41_000.0, best_return=0.31)
        progress.stage("targets")
        clock.now += 2
    lines = stream.getvalue().splitlines()
    assert lines[0] == "learn: started, about 4:00"
    assert lines[1] == "learn: 15/240, tokens/s 41,000, best return 0.310, 3:45 left"
    assert lines[-3:] == [
        "learn: done after 4:00, 240/240, tokens/s 41,000, best return 0.310",
        "targets: started",
        "targets: done after 0:02",
    ]
    assert len(lines) == 240 // LINE_EVERY_S + 4
    assert "\x1b" not in stream.getvalue()


def test_time_left_comes_from_what_is_done_else_from_what_was_expected(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress.stage("corpus", 60)
        clock.now += 20
        progress.update(0, 4)  # nothing done yet: 60 - 20
        clock.now += 20
        progress.update(1, 4)  # a quarter took 40 s
        clock.now += 60
        progress.stage("learn", 30)
        clock.now += 50
        progress.update(0, 4)  # later than expected
        progress.stage("label")
        clock.now += 50
        progress.update(0.0001, 1)  # too little to tell
    assert [line.rsplit(", ")[-1] for line in stream.getvalue().splitlines() if "left" in line] == [
        "0:40 left",
        "2:00 left",
        "0:00 left",
    ]


def test_brackets_in_names_are_text_and_not_markup(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress.stage("[red]learn[/]")
        progress.update(1, 2, policy="[bold]")
    assert stream.getvalue().splitlines()[-1] == "[red]learn[/]: done after 0:00, 1/2, policy [bold]"


def test_nan_and_infinity_are_shown_and_not_fatal(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress.stage("learn")
        progress.update(1, 2, best_return=float("-inf"), loss=float("nan"))
    assert "best return -inf, loss nan" in stream.getvalue()


def test_a_terminal_gets_a_bar_and_keeps_its_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()

    def interrupted() -> None:
        with Progress(stream) as progress:
            progress.stage("learn", 240)
            progress.update(8, 96, tokens_per_s=41_000.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    text = stream.getvalue()
    assert "8/96, tokens/s 41,000" in text
    assert "learn: stopped after" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is shown again"


SCRIPT = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
from pretraingym.experiments.progress import Progress
with Progress() as progress:
    progress.stage("learn", 100)
    progress.update(1, 4)
    print("{}", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_interrupted_it_ends_and_standard_output_stays_clean() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "{}\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert out == ""
    assert err.startswith("learn: started, about 1:40\nlearn: stopped after 0:0")
    assert process.returncode != 0
