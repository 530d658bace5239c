"""A recorded neuron's own curve in the forward pass of training."""

from __future__ import annotations

import numpy as np

from analog_fhn.cell.base import Cells, DriveStage
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.reconstruct.driven.backend import CURRENTS, LivingNeurons
from analog_fhn.training.response import Responses


def responses(neurons: LivingNeurons, fhn: FHN, protocol: Protocol, n_neurons: int | None = None) -> Responses:
    """Response of each hidden neuron in place of a sigmoid, for `Inside.responses` of `train_fhn`.

    Parameters
    ----------
    fhn
        Its gamma, slope and a say what is asked of the neuron: see `LivingNeurons`.
    protocol
        Times of the twins' runs; of the measured curve they do not matter.
    n_neurons
        How many there are; None: one of each twin.
    """
    n = len(neurons.twins) if n_neurons is None else n_neurons
    cells = Cells.ideal("sigmoid", fhn, n)
    stage, rows = cells.drive_stage, cells.row_stage
    assert isinstance(stage, DriveStage)
    low, high = stage.range()
    drives = np.linspace(low, high, CURRENTS)
    mean = np.ascontiguousarray(neurons.respond(cells, drives, protocol).mean.T)
    row_gain, row_offset = rows.of(recentre=True)
    none = np.zeros((n, 0))
    return Responses(
        stage.gain, stage.slope, stage.shift, stage.offset, row_gain, row_offset, low, high, mean, np.zeros_like(mean),
        none, none, np.full(n, fhn.eps), np.zeros((n, CURRENTS, 0), dtype=np.float32), stage.CURVE,
    )  # fmt: skip
