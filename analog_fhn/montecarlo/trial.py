"""One trial: a chip is drawn, all images are classified with it, and the outcome is a row."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn.backends.base import CIRCUIT_BACKENDS, Backend
from analog_fhn.data.sparse_images import Pixels
from analog_fhn.design import Design
from analog_fhn.draws import sobol_normal
from analog_fhn.errors import InputError, MissingProgramError
from analog_fhn.inference import confusion, judge, make_backend
from analog_fhn.montecarlo.directions import Along, Directions
from analog_fhn.montecarlo.packed import PackedImages
from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray
from analog_fhn.readout import Readout
from analog_fhn.technology.technology import Technology

_IMAGES = "images.npy"
WINDOW_CHECKS = 8  # chips of a point whose table is compared with the control window


@dataclass(frozen=True)
class Trial:
    """Outcome of one chip at one point; a row of the table `trials`.

    Parameters
    ----------
    point, trial
        Number of the point, and of the chip: k of chip k.
    chip_seed
        Seed that makes this chip.
    status
        done or failed.
    accuracy
        Share of images that it classifies right; None if the simulation failed.
    agreement
        Share of images that get the class which the plain network gives them.
    confusion
        Counts, rows of true classes after each other; a JSON list.
    table_error, window_error
        Largest errors that the chip's response table was found to have: interpolation of the mean of x, and difference
        from the finite control window (of the first chips of a point only).
    message
        Why it failed.
    seconds
        Wall time.
    """

    point: int
    trial: int
    chip_seed: int
    status: str
    accuracy: float | None = None
    agreement: float | None = None
    confusion: str | None = None
    table_error: float | None = None
    window_error: float | None = None
    message: str = ""
    seconds: float = 0.0


COLUMNS = tuple(column.name for column in fields(Trial))


@dataclass(frozen=True, eq=False)
class ShiftedTrial(Trial):
    """A trial of a chip that was shifted.

    Parameters
    ----------
    projections
        Of the chip's normal numbers, before the shift, on the directions of the job; shape (k,).
    """

    projections: FloatArray = field(default_factory=lambda: np.zeros(0))


def chip_seed(root: int, trial: int) -> int:
    """Seed of chip number `trial` of a sweep; depends on (root seed, trial) alone."""
    return int(np.random.SeedSequence(root, spawn_key=(trial,)).generate_state(1)[0])


@dataclass(frozen=True, eq=False)
class Job:
    """What all trials of a run have in common.

    Parameters
    ----------
    key
        Tells runs apart within a worker.
    network, technology
        Before the settings of a point.
    images
        Shape (n_images, n_in), single precision; or the folder that `share_images` wrote: workers of one machine map
        them, so that there is one copy; or packed, for workers elsewhere.
    labels, plain
        Shape (n_images,): true class, and class that the plain network gives.
    seed
        Root seed.
    backend, table
        What integrates the neurons, and drives per neuron of its response table (0: none, None: the default).
    keep
        Folder for the decks of failed trials, one folder each; None: a temporary one.
    workers
        Processes that one trial may use by itself.
    directions
        Along which chips are shifted: those of a point that has amounts by these, all others so that they lie at the
        points of a Sobol sequence there. None: no chip is shifted.
    """

    key: str
    network: Network
    technology: Technology
    images: NDArray[np.float32] | Path | PackedImages
    labels: NDArray[np.integer]
    plain: NDArray[np.integer]
    seed: int
    backend: str | Backend = "direct"
    table: int | None = None
    keep: Path | None = None
    workers: int | None = None
    directions: Directions | None = None

    @property
    def backend_name(self) -> str:
        """Name of what integrates the neurons."""
        return self.backend if isinstance(self.backend, str) else self.backend.name

    def mapped(self) -> NDArray[np.float32]:
        """The images."""
        if isinstance(self.images, Path):
            return _shared(str(self.images))[0]
        return self.images.unpacked() if isinstance(self.images, PackedImages) else self.images

    def pixels(self) -> Pixels | None:
        """The images once more, where most of their pixels are dark."""
        return _shared(str(self.images))[1] if isinstance(self.images, Path) else _pixels(self)

    def engine(self, readout: Readout, trial: str) -> Backend:
        """Backend with its response table; `trial` names the folder that a failure's deck is kept in."""
        from analog_fhn.backends.table.backend import Table, default_drives

        if isinstance(self.backend, str):
            keep = None if self.keep is None else self.keep / trial
            options: dict[str, Any] = (
                {"keep": keep, "workers": self.workers} if self.backend in CIRCUIT_BACKENDS else {}
            )
            inner = make_backend(self.backend, **options)
        else:
            inner = self.backend
        n = default_drives(inner.name, readout) if self.table is None else self.table
        return Table(inner, n) if n else inner


def share_images(images: NDArray[np.float32], folder: Path) -> None:
    """Write images to files that workers map."""
    np.save(folder / _IMAGES, images)
    pixels = Pixels.of(images)
    if pixels is not None:
        pixels.save(folder)


@lru_cache(maxsize=2)
def _shared(folder: str) -> tuple[NDArray[np.float32], Pixels | None]:
    pixels = Pixels.mapped(Path(folder)) if (Path(folder) / "first.npy").exists() else None
    return np.load(Path(folder) / _IMAGES, mmap_mode="r"), pixels


@lru_cache(maxsize=2)
def _pixels(job: Job) -> Pixels | None:
    return Pixels.of(job.mapped())


_here: dict[str, Job] = {}


def keep_job(job: Job) -> None:
    """Hold a job in this worker, so that trials can name it by its key."""
    _here[job.key] = job


def forget_job(key: str) -> None:
    """Let go of a job that `keep_job` was given, if it is there, and of all images."""
    _here.pop(key, None)
    _pixels.cache_clear()


def run_trial(job: Job | str, point: SweepPoint, trial: int) -> Trial:
    """Draw chip number `trial`, classify all images with it.

    Parameters
    ----------
    job
        Or the key of one that `keep_job` was given here.

    Returns
    -------
    Trial
        A simulation that fails is a trial with its message.

    Raises
    ------
    InputError, MissingProgramError
        Mistakes of the caller are no failed trials.
    """
    if isinstance(job, str):
        job = _here[job]
    start = time.perf_counter()
    seed = chip_seed(job.seed, trial)
    images, pixels = job.mapped(), job.pixels()  # where they cannot be read no chip is to blame
    try:
        design = _design(job, point)
        network = design.network
        engine = job.engine(network.readout, f"point_{point.number}_chip_{trial}")
        shift = shift_of(job, point, design, trial)
        result = judge(
            design.chip(seed, shift), images, [(network.readout, network.recentre)], engine,
            pixels=pixels, window=trial < WINDOW_CHECKS,
        )[0]  # fmt: skip
    except (InputError, MissingProgramError):
        raise
    except Exception as error:
        # SimulationError speaks for itself; of others the name says more than their text.
        message = str(error) if isinstance(error, RuntimeError) else f"{type(error).__name__}: {error}"
        return Trial(point.number, trial, seed, "failed", message=message, seconds=time.perf_counter() - start)
    quality = result.table
    counts = confusion(result.predictions, job.labels, network.layer_sizes[-1])
    done = Trial(
        point.number, trial, seed, "done", result.accuracy(job.labels), result.accuracy(job.plain),
        json.dumps(counts.ravel().tolist(), separators=(",", ":")),
        None if quality is None else quality.largest,
        quality.window_largest if quality is not None and quality.n_window else None,
        seconds=time.perf_counter() - start,
    )  # fmt: skip
    return done if point.amounts is None or shift is None else ShiftedTrial(**vars(done), projections=shift.projections)


def shift_of(job: Job, point: SweepPoint, design: Design, trial: int) -> Along | None:
    """What moves the normal numbers of chip number `trial` of a point, whose design this is; None: nothing does."""
    if job.directions is None:
        return None
    if point.amounts is not None:
        return Along(job.directions, point.amounts)
    return at_sobol(
        job.directions, design, chip_seed(job.seed, trial), sobol_normal(job.seed, len(job.directions.names), trial)
    )


def at_sobol(directions: Directions, design: Design, seed: int, normal: FloatArray) -> Along:
    """Shift of a chip that gives its normal numbers these projections on the directions, shape (k,).

    Streams that the chip does not have, because they are not spread, count in no direction.
    """
    unshifted = Along(directions, np.zeros_like(normal))
    design.chip(seed, unshifted)
    present, lengths = directions.within(unshifted.met)
    return Along(present, normal - unshifted.projections / lengths)


_designs: dict[tuple[str, int, str], Design] = {}
_designs_lock = threading.Lock()


def _design(job: Job, point: SweepPoint) -> Design:
    """Design of a point; those of the last few points are kept."""
    key = job.key, point.number, json.dumps(dict(point.settings), sort_keys=True)
    with _designs_lock:
        if key not in _designs:
            while len(_designs) >= 4:
                del _designs[next(iter(_designs))]
            _designs[key] = point.design(job.network, job.technology)
        return _designs[key]
