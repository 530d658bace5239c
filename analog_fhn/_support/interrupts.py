"""Ctrl-C ends a command with one message wherever it arrives: in an import, in a finalizer, while Python ends."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Any

MESSAGE = "interrupted; what was written before is kept"
STATUS = 130

_keeping: ContextVar[Keeping | None] = ContextVar("keeping", default=None)
_PAUSE = 0.01  # seconds until an interrupt that went astray is raised again


@contextmanager
def heard() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C came while the block ran, whatever became of the KeyboardInterrupt.

    Extension modules that are being imported turn it into other errors; in a finalizer Python drops it with a message,
    and here it is raised again outside. Nothing is done where Python does not handle Ctrl-C: in another thread than the
    main one, or where the caller handles or ignores it.
    """
    came = False

    def raise_it(_signal: int, _frame: FrameType | None) -> None:
        nonlocal came
        came = True
        raise KeyboardInterrupt

    def raise_again(dropped: sys.UnraisableHookArgs) -> None:
        if isinstance(dropped.exc_value, KeyboardInterrupt):
            threading.Thread(target=_interrupt_later, daemon=True).start()
        else:
            hook(dropped)

    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield lambda: False
        return
    hook: Callable[[Any], Any] = sys.unraisablehook
    signal.signal(signal.SIGINT, raise_it)
    sys.unraisablehook = raise_again
    try:
        yield lambda: came
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class Keeping:
    """Whether Ctrl-C ended work whose parts are kept."""

    interrupted: bool = False


@contextmanager
def keeping(parts: bool = True) -> Iterator[Keeping]:
    """Work within this block that Ctrl-C ends early gives what is done, instead of raising KeyboardInterrupt.

    Parameters
    ----------
    parts
        False: it raises, as it does outside of such a block, because a part of it is of no use.
    """
    block = Keeping()
    token = _keeping.set(block if parts else None)
    try:
        yield block
    finally:
        _keeping.reset(token)


@contextmanager
def kept(anything: Callable[[], object]) -> Iterator[None]:
    """Ctrl-C ends this block, and what follows goes on with what is done; outside of `keeping` it raises, as usual.

    Parameters
    ----------
    anything
        Whether there is anything to go on with; else Ctrl-C raises, too.
    """
    try:
        yield
    except KeyboardInterrupt:
        block = _keeping.get()
        if block is None or not anything():
            raise
        block.interrupted = True


def end_quietly() -> None:
    """From here on, when all is written, Ctrl-C ends the process at once and without a word."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _interrupt_later() -> None:
    time.sleep(_PAUSE)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
