"""Live progress on standard error: a bar on a terminal, otherwise a plain line now and then."""

import sys
from time import perf_counter
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

LINE_EVERY_S = 15.0  # without a terminal: at least this long between two lines, besides a stage's first and last
TOLD_FROM = 0.01  # of a stage: with less of it done, how long the rest takes is not known
ABOUT_DONE = 0.98  # the bar stops here while a stage takes longer than expected


class Progress:
    """Shows the current stage, how far it is, its figures and the time left. Nothing is written to standard output.

    with Progress() as progress:
        progress.stage("learn", total_seconds_expected=240)
        progress.update(8, 96, tokens_per_s=41_000, best_return=0.31)
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        # Given here, since with FORCE_COLOR rich would take a pipe for a terminal.
        self._console = Console(file=stream, force_terminal=stream.isatty(), highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._name: str | None = None
        self._expected_s: float | None = None
        self._done, self._total = 0.0, 0.0
        self._figures: dict[str, float | str] = {}
        self._t0 = self._last_line = 0.0

    def __enter__(self) -> "Progress":
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self._bar,
                refresh_per_second=4,
                transient=True,
                redirect_stdout=False,  # the command's own lines go there
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close("done" if kind is None else "stopped")
        if self._live is not None:  # also on Ctrl-C, or the terminal would be left without its cursor
            self._live.stop()
            self._live = None

    def stage(self, name: str, total_seconds_expected: float | None = None) -> None:
        """End the current stage and begin the next. `total_seconds_expected` is used until `update` gives a total."""
        self._close("done")
        self._name, self._expected_s = name, total_seconds_expected
        self._done, self._total, self._figures = 0.0, 0.0, {}
        self._t0 = self._last_line = perf_counter()
        if self._live is None:
            about = f", about {duration(total_seconds_expected)}" if total_seconds_expected else ""
            self._print(f"{name}: started{about}")

    def update(self, done: float, total: float, **figures: float | str) -> None:
        """Show that `done` of `total` is done, in any unit. Figures are shown by name, and stay until they are given
        again."""
        self._done, self._total = done, total
        self._figures = self._figures | figures  # a new dict, since the thread that draws may be reading the old one
        if self._live is None and self._name is not None and perf_counter() - self._last_line >= LINE_EVERY_S:
            self._last_line = perf_counter()
            left = self._seconds_left()
            self._print(f"{self._name}: {self._state()}" + (f", {duration(left)} left" if left is not None else ""))

    def say(self, line: str) -> None:
        """A line that stays."""
        self._print(line)

    def _close(self, how: str) -> None:
        if self._name is None:
            return
        state = f", {self._state()}" if self._total else ""
        self._print(f"{self._name}: {how} after {duration(perf_counter() - self._t0)}{state}")
        self._name = None

    def _share(self) -> float:
        """Share of the stage that is done: by count, once anything is, before that by the clock."""
        if self._total and self._done:
            return min(self._done / self._total, 1.0)
        return min((perf_counter() - self._t0) / self._expected_s, ABOUT_DONE) if self._expected_s else 0.0

    def _seconds_left(self) -> float | None:
        elapsed, share = perf_counter() - self._t0, self._share()
        if self._total and self._done / self._total >= TOLD_FROM:
            return elapsed * (1 - share) / share
        return max(self._expected_s - elapsed, 0.0) if self._expected_s else None

    def _state(self) -> str:
        count = [f"{_figure(self._done)}/{_figure(self._total)}"] if self._total else []
        named = [f"{name.replace('_per_s', '/s').replace('_', ' ')} {_figure(v)}" for name, v in self._figures.items()]
        return ", ".join(count + named)

    def _bar(self) -> Table:
        row = Table.grid(padding=(0, 2))
        for _ in range(4):
            row.add_column(no_wrap=True)
        if self._name is not None:
            left = self._seconds_left()
            bar = ProgressBar(total=1.0, completed=self._share(), width=28)
            row.add_row(self._name, bar, f"{duration(left)} left" if left is not None else "", self._state())
        return row

    def _print(self, line: str) -> None:
        # markup=False: names and figures are text, whatever brackets they hold.
        self._console.print(line, markup=False)


def duration(seconds: float) -> str:
    """Seconds as minutes and seconds, from an hour up with hours before them.

    >>> duration(84.2), duration(3725)
    ('1:24', '1:02:05')
    """
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{whole:02d}" if hours else f"{minutes}:{whole:02d}"


def _figure(value: float | str) -> str:
    """Whole and large numbers with separators, others with three decimals, text as it is."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value % 1 == 0 or abs(value) >= 1000 else f"{value:.3f}"
