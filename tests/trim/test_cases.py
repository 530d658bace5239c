"""Technologies of a case: the spread that was asked for, on chips of other seeds."""

from __future__ import annotations

import numpy as np
import pytest

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import Table
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology
from analog_fhn.trim.cases import case_technology


def test_spread_is_that_of_drawn_chips() -> None:
    made = case_technology(Technology.load("discrete"), 0.2, 0.1, 0.02)
    assert (made.array.programming_error, made.array.stuck_on, made.array.stuck_off) == (0.2, 0.01, 0.01)
    assert made.array.levels == 32
    network = Network.of_weights((np.ones((1, 1000)), np.ones((1000, 1))))
    chip = Design(network, made).chip(77)
    table = Table(Direct(), 9).means(chip.layers[0].cells, network.protocol, window=False)
    tanh = np.linspace(-0.9, 0.9, 7)[:, None]
    x = table.look_up(chip.layers[0].cells.drive_stage.gain * tanh + chip.layers[0].cells.drive_stage.offset)
    slopes = np.polyfit(tanh[:, 0], chip.layers[0].cells.row_stage.gain * x + chip.layers[0].cells.row_stage.offset, 1)[
        0
    ]
    # Two samples of 1000: each knows a standard deviation to 2.2 %
    assert np.std(slopes) / np.mean(slopes) == pytest.approx(0.1, rel=0.1)


def test_a_spread_that_no_tolerance_gives_is_refused() -> None:
    with pytest.raises(InputError, match=r"neuron spread 0\.5: expected"):
        case_technology(Technology.load("discrete"), 0.2, 0.5, 0.0)
