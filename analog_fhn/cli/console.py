"""What people read of a command while it works: lines, remarks, progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from analog_fhn._support.words import engineering, percent
from analog_fhn.errors import brief, printable

__all__ = ["engineering", "note", "percent", "progress_bar", "say"]

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


def be_quiet(quiet: bool) -> None:
    """Whether only results, warnings and errors are told (`--quiet`)."""
    _quiet.set(quiet)


def say(message: str, json_target: str | None) -> None:
    """Print a result for people; with `--json -` standard output is JSON alone and people read standard error."""
    print(printable(message), file=sys.stderr if json_target == "-" else sys.stdout, flush=True)


def remark(message: str, json_target: str | None) -> None:
    """As `say`, of what is no result: files that were written, what to do next. Not with `--quiet`."""
    if not _quiet.get():
        say(message, json_target)


def warn(message: str) -> None:
    """Say on standard error what makes a result doubtful."""
    print(f"analog-fhn: {brief(message)}", file=sys.stderr, flush=True)


def note(message: str) -> None:
    """Say on standard error what people should know beside the result. Not with `--quiet`."""
    if not _quiet.get():
        warn(message)


@dataclass(frozen=True)
class Bar:
    """A progress bar: called with (steps done, steps in all)."""

    update: Callable[..., None]

    def __call__(self, done: int, total: int) -> None:
        """Show how far the work is."""
        self.update(completed=done, total=total)

    def label(self, text: str) -> None:
        """Show what is being done."""
        self.update(description=text)


@contextmanager
def progress_bar(label: str) -> Iterator[Bar]:
    """Progress bar with elapsed and remaining time on standard error, only on a terminal and without `--quiet`."""
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    with _shown(label, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(elapsed_when_finished=True)) as bar:
        yield bar


@contextmanager
def working(label: str, expected: float = 0.0) -> Iterator[Bar]:
    """As `progress_bar`, for work whose steps cannot be counted: what is done, and for how long.

    Parameters
    ----------
    expected
        Seconds that it takes by its estimate, which are shown; 0: none is shown.
    """
    with _shown(f"{label} (about {expected:.0f} s)" if expected > 2.0 else label) as bar:
        yield bar


@contextmanager
def _shown(label: str, *columns: object) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn(), *columns,  # type: ignore[arg-type]
        console=console, disable=_quiet.get() or not console.is_terminal, transient=True,
        redirect_stdout=sys.stdout.isatty(),
    ) as progress:  # fmt: skip
        task = progress.add_task(label, total=None)
        yield Bar(lambda **values: progress.update(task, **values))


def going_on(what: str) -> None:
    """Say that Ctrl-C ended the work, and what is gone on with."""
    warn(f"interrupted: {what} (Ctrl-C again ends the command at once)")
