"""Work that several requests share and that can be stopped: a watch, what is kept by value, simulations in parts."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from analog_fhn._support.progress import Progress
from analog_fhn.backends.base import Response
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import Table
from analog_fhn.backends.table.means import MeanTable
from analog_fhn.backends.table.waveforms import ResponseTable
from analog_fhn.cell.base import Cells
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.noise import Noise

T = TypeVar("T")

_RUNS = 2048  # of neurons that are integrated between two looks at the watch
_TIMES = 250.0  # T of such a run; of longer ones there are fewer
_IMAGES = 32  # whose waveforms are read from a table between two looks
_LOOK = 0.1  # s between two looks while another request computes what this one needs


class Stopped(BaseException):
    """Nobody waits for the answer any more; no failure, and caught by nothing that takes failures for results."""


class Watch:
    """What a computation looks at: whether its answer is still asked for; and where it says how far it is.

    Parameters
    ----------
    report
        Called with what is being done, steps done and steps in all; None: nobody listens.
    """

    def __init__(self, report: Callable[[str, int, int], None] | None = None) -> None:
        self._stopped = threading.Event()
        self._report = report

    def stop(self) -> None:
        """Have the computation end at its next look."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether nobody waits any more."""
        return self._stopped.is_set()

    def look(self) -> None:
        """Go on only if somebody still waits.

        Raises
        ------
        Stopped
            If nobody does.
        """
        if self.stopped:
            raise Stopped

    def progress(self, what: str) -> Progress:
        """Function that reports how far `what` is, and looks."""

        def advance(done: int, total: int) -> None:
            self.look()
            if self._report is not None:
                self._report(what, done, total)

        return advance


class Kept:
    """What was computed last, by the value of what it was computed from; several threads may ask at once.

    What one thread is computing another one waits for, unless it is stopped; if the first one is stopped, the other
    computes.

    Parameters
    ----------
    size
        Largest number of things.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._things: OrderedDict[Hashable, Any] = OrderedDict()
        self._busy: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], T], watch: Watch) -> T:
        """The thing of this key, computed if it is not there."""
        with self._lock:
            busy = self._busy.setdefault(key, threading.Lock())
        while not busy.acquire(timeout=_LOOK):
            watch.look()
        try:
            with self._lock:
                if key in self._things:
                    self._things.move_to_end(key)
                    thing: T = self._things[key]
                    return thing
            try:
                watch.look()
                thing = compute()
            except BaseException:
                with self._lock:
                    self._busy.pop(key, None)
                raise
            with self._lock:
                self._things[key] = thing
                while len(self._things) > self._size:
                    gone, _ = self._things.popitem(last=False)
                    self._busy.pop(gone, None)
            return thing
        finally:
            busy.release()


@dataclass(frozen=True)
class PatientDirect(Direct):
    """`Direct` that integrates some runs at a time, and between them looks at a watch and lets other threads work.

    Parameters
    ----------
    watch
        See `Watch`; None: all runs at once.
    what
        What is said to be done.
    """

    watch: Watch | None = field(default=None, compare=False, repr=False)
    what: str = field(default="neurons", compare=False, repr=False)

    def respond(
        self,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Response:
        """Integrate every neuron; see `Backend.respond`. Runs do not depend on each other."""
        if self.watch is None or noise is not None:
            return super().respond(cells, drives, protocol, samples=samples, noise=noise, progress=progress)
        runs = _RUNS * min(1.0, _TIMES / (protocol.settle + protocol.control))
        size, parts = max(1, int(runs / max(1, len(cells)))), []
        advance = self.watch.progress(self.what)
        for first in range(0, len(drives), size):
            advance(first, len(drives))
            parts.append(super().respond(cells, drives[first : first + size], protocol, samples=samples))
            if progress is not None:
                progress(min(first + size, len(drives)), len(drives))
        return _joined(parts)


@dataclass(frozen=True)
class SharedTable(Table):
    """Response tables that requests share: made once for all that have the same neurons, in parts that can be stopped.

    Parameters
    ----------
    kept, waves, watch
        Where tables of means and of waveforms are kept, and who waits for them.
    """

    kept: Kept = field(default_factory=lambda: Kept(8), compare=False, repr=False)
    waves: Kept = field(default_factory=lambda: Kept(8), compare=False, repr=False)
    watch: Watch = field(default_factory=Watch, compare=False, repr=False)

    def means(
        self,
        cells: Cells,
        protocol: Protocol,
        *,
        window: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> MeanTable:
        """See `Table.means`; not compared with the control window, which takes longer than the table."""
        make = super().means
        return self.kept.get(self.key(cells, protocol), lambda: make(cells, protocol, window=False), self.watch)

    def make(
        self, cells: Cells, protocol: Protocol, progress: Callable[[int, int], None] | None = None
    ) -> ResponseTable:
        """See `Table.make`."""
        make = super().make
        return self.waves.get(
            self.key(cells, protocol),
            lambda: make(cells, protocol, self.watch.progress("response tables")),
            self.watch,
        )

    def respond(
        self,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Response:
        """See `Table.respond`; waveforms are read for some images at a time."""
        size, parts = _IMAGES if samples else len(drives), []
        for first in range(0, len(drives), size):
            self.watch.look()
            parts.append(super().respond(cells, drives[first : first + size], protocol, samples=samples, noise=noise))
        return _joined(parts)


class Replay:
    """Backend that integrates each neuron once: asked again for the same drives, it answers what it did before.

    So one image's scores and what happens on the way to them come from one simulation.

    Parameters
    ----------
    inner
        What integrates.
    """

    def __init__(self, inner: Direct) -> None:
        self.name = inner.name
        self._inner = inner
        self._responses: list[tuple[FloatArray, Response]] = []

    def respond(
        self,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Response:
        """See `Backend.respond`."""
        for known, response in self._responses:
            if np.array_equal(known, drives) and (response.samples is not None or not samples):
                return response
        response = self._inner.respond(cells, drives, protocol, samples=samples)
        self._responses.append((drives, response))
        return response


def _joined(parts: list[Response]) -> Response:
    """Responses to some images each, as one."""
    if len(parts) == 1:
        return parts[0]
    samples = [part.samples for part in parts if part.samples is not None]
    return Response(np.concatenate([part.mean for part in parts]), np.concatenate(samples, axis=1) if samples else None)
