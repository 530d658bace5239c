"""The accuracy waterfall: the same images through ever more of the circuit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analog_fhn import plots
from analog_fhn.circuit.chip import Chip
from analog_fhn.circuit.design import Design
from analog_fhn.inference import classify
from analog_fhn.montecarlo.statistics import wilson
from analog_fhn.network import Network


@dataclass(frozen=True, eq=False)
class Stage:
    """One step of the waterfall.

    Parameters
    ----------
    name, backend
        What was added, and what integrated the neurons (None: no neurons).
    predictions
        Shape (n_images,).
    accuracy
        Share of right classes.
    seconds
        Wall time.
    agreement
        For the stages that repeat the same chip in another simulator: share of images with the class that
        `direct` gives; None for the others.
    """

    name: str
    backend: str | None
    predictions: NDArray[np.intp]
    accuracy: float
    seconds: float
    agreement: float | None = None

    @property
    def n_images(self) -> int:
        """Number of images that were judged."""
        return len(self.predictions)

    @property
    def same(self) -> int:
        """Number of images with the class that `direct` gives."""
        return round((self.agreement or 0.0) * self.n_images)


def waterfall(
    network: Network,
    chip: Chip,
    images: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    brian_images: int = 0,
    spice_images: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Stage]:
    """Float -> ideal FHN -> quantised -> programmed -> mismatched, then the same chip in Brian2 and ngspice.

    Parameters
    ----------
    network, chip
        A network and a chip of its design.
    images, labels
        Shapes (n_images, n_in) and (n_images,).
    brian_images, spice_images
        How many of the first images these slower simulators judge; 0 leaves the stage out.
    progress
        Called with (stages done, stages in all).
    """
    if chip.technology is None:
        raise ValueError("the waterfall needs a chip with a technology")
    design = Design(network, chip.technology)
    quantised = design.chip(None).with_ideal_neurons()
    plan: list[tuple[str, str, Chip | None, int]] = [
        ("ideal FHN", "direct", None, len(labels)),
        ("quantised weights", "direct", quantised, len(labels)),
        ("programming error", "direct", chip.with_ideal_neurons(), len(labels)),
        ("mismatched neurons", "direct", chip, len(labels)),
    ]
    if brian_images:
        plan.append(("same chip in Brian2", "brian", chip, min(brian_images, len(labels))))
    if spice_images:
        plan.append(("same chip in ngspice", "spice", chip, min(spice_images, len(labels))))
    start = time.perf_counter()
    plain = network.forward(images).argmax(axis=1)
    stages = [Stage("float", None, plain, float(np.mean(plain == labels)), time.perf_counter() - start)]
    direct = plain
    for done, (name, backend, made, n) in enumerate(plan, start=1):
        if progress is not None:
            progress(done, len(plan) + 1)
        result = classify(network, images[:n], chip=made, backend=backend)
        agreement = None if backend == "direct" else float(np.mean(result.predictions == direct[:n]))
        direct = result.predictions if backend == "direct" else direct
        stages.append(Stage(name, backend, result.predictions, result.accuracy(labels[:n]), result.seconds, agreement))
    if progress is not None:
        progress(len(plan) + 1, len(plan) + 1)
    return stages


def picture(stages: Sequence[Stage], title: str) -> Figure:
    """Waterfall of the stages that judged all images; the others are remarks on how often they agree."""
    full = [stage for stage in stages if stage.agreement is None]
    return plots.waterfall(
        [stage.name for stage in full],
        [stage.accuracy for stage in full],
        [wilson(round(stage.accuracy * stage.n_images), stage.n_images) for stage in full],
        title,
        [f"{s.name}: same class on {s.same} of {s.n_images} images" for s in stages if s.agreement is not None],
    )
