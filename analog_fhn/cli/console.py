"""What people read of a command while it works: lines, remarks, progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from analog_fhn._support.words import engineering, percent
from analog_fhn.errors import brief, printable

__all__ = ["engineering", "note", "percent", "progress_bar", "say"]


def say(message: str, json_target: str | None) -> None:
    """Print for people; with `--json -` standard output is JSON alone and people read standard error."""
    print(printable(message), file=sys.stderr if json_target == "-" else sys.stdout, flush=True)


def note(message: str) -> None:
    """Say on standard error what people should know beside the result."""
    print(f"analog-fhn: {brief(message)}", file=sys.stderr, flush=True)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Progress bar with remaining time on standard error, only on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal, transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
