"""A Network laid out in a Technology: every component with its nominal value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analog_fhn.array.crossbar import Crossbar, map_weights
from analog_fhn.array.sense import nominal_sense
from analog_fhn.cell.neuron import NeuronParts, Scales, coefficients
from analog_fhn.cell.stages import (
    DriverParts,
    PairParts,
    drive_stage,
    largest_activation,
    nominal_drivers,
    nominal_pairs,
    row_stage,
)
from analog_fhn.cell.synthesis import Synthesis, synthesise
from analog_fhn.chip import ArrayTarget, Chip, check_finite, coefficient_numbers, draw_chip
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.readout import recentring
from analog_fhn.technology.technology import NOMINAL_TEMPERATURE, Technology


@dataclass(frozen=True)
class Design:
    """Nominal layout: voltage scales, neuron parts, target conductances.

    Parameters
    ----------
    network, technology
        What to build and what to build it with.

    Raises
    ------
    InputError
        If a rail would be reached or offsets would dominate (see `choose_scales`), if a <= 0, if no resistors make
        the tanh pair (see `nominal_pairs`), if a coefficient of a neuron would not be finite, if the array asks of its
        device what is not known of it, or if the network has more than one hidden layer or stages that no circuit is
        drawn for (`Network.plain_stages`).
    """

    network: Network
    technology: Technology

    def __post_init__(self) -> None:
        if len(self.network.weights) != 2:
            raise InputError(
                f"network has {len(self.network.weights) - 1} hidden layers; "
                "a design takes exactly one layer of FHN neurons"
            )
        if not self.network.plain_stages:
            raise InputError(
                f"network with {self.network.stages_text}: only ideal neurons have these stages so far; a design takes "
                "tanh 'drive', behind 'linear'"
            )
        if problems := self.technology.device_problems():
            raise InputError(f"technology {self.technology.name!r}: {'; '.join(problems)}")
        _ = self.synthesis, self.pairs, self.drivers
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            nominal = coefficients(self.parts[slice(0, 1)], self.scales, self.technology, self.network.fhn.eps)
        check_finite(self.technology, coefficient_numbers(nominal))

    @cached_property
    def synthesis(self) -> Synthesis:
        """Scales and nominal parts of the hidden neurons, in the technology's E series."""
        return synthesise(self.network.fhn, self.technology, self.network.weights[0].shape[1])

    @property
    def scales(self) -> Scales:
        """Voltage scales Sx, Sy and the time unit."""
        return self.synthesis.scales

    @property
    def parts(self) -> NeuronParts:
        """Nominal components of the hidden neurons."""
        return self.synthesis.parts

    @cached_property
    def errors(self) -> dict[str, float]:
        """Relative errors that the E series leave.

        Of eps, a, cubic, y_gain and time_unit in the neuron, gamma and slope in the tanh pair, of the row driver's
        offset (0 if there is none), and of the gain behind the input array.
        """
        fhn, hidden, sx = self.network.fhn, self.network.hidden, self.scales.sx
        nominal = self.technology.under(temperature=NOMINAL_TEMPERATURE, supply=1.0)
        drive = drive_stage(self.pairs[slice(0, 1)], fhn, nominal, sx)
        ideal = np.ones(1), np.zeros(1)
        row = row_stage(self.drivers[slice(0, 1)], self.drivers, ideal, fhn, hidden, nominal, sx)
        offset, first = recentring(hidden, fhn.a, fhn.gamma)[1], self.arrays[0]
        return self.synthesis.errors | {
            "gamma": float(drive.gain[0]) / fhn.gamma - 1.0,
            "slope": float(drive.slope[0]) / fhn.slope - 1.0,
            "offset": float(row.offset[0]) / offset - 1.0 if offset else 0.0,
            "input_gain": float(first.sense.rb[0])
            * first.crossbar.siemens_per_weight
            * first.row_volts[0]
            / first.volts[0]
            - 1.0,
        }

    @cached_property
    def pairs(self) -> PairParts:
        """Nominal tanh pairs."""
        return nominal_pairs(self.network.fhn, self.technology, self.scales.sx, len(self.parts))

    @cached_property
    def drivers(self) -> DriverParts:
        """Nominal row drivers."""
        net = self.network
        return nominal_drivers(net.fhn, net.hidden, self.technology, self.scales.sx, len(self.parts))

    @property
    def crossbars(self) -> tuple[Crossbar, ...]:
        """Target conductances of each weight layer."""
        return tuple(array.crossbar for array in self.arrays)

    @cached_property
    def arrays(self) -> tuple[ArrayTarget, ArrayTarget]:
        """Target conductances, nominal sense amplifiers and voltage scales of the input and the output array."""
        net, technology = self.network, self.technology
        read, volts = technology.array.read_voltage, technology.tanh_pair.volts_per_unit
        largest_input = max(abs(limit) for limit in net.input_range)
        pixel = read / largest_input
        first = map_weights(net.weights[0], net.biases[0], technology.array, layer=0, bias_drive=largest_input)
        sense = nominal_sense(first, technology, volts * largest_input)
        # What the nominal row driver makes of x, with and without recentring, with its resistors of the series.
        raw = float(self.drivers.rf[0] / self.drivers.rin[0]) * self.scales.sx
        activation = raw / abs(recentring(net.hidden, net.fhn.a, net.fhn.gamma)[0])
        second = map_weights(
            net.weights[1], net.biases[1], technology.array, layer=1,
            bias_drive=largest_activation(net.fhn, net.hidden),
        )  # fmt: skip
        scores = nominal_sense(second, technology, None)
        gain = float(scores.rb[0]) * second.siemens_per_weight
        return (
            ArrayTarget(first, sense, (pixel, pixel), (volts, volts)),
            ArrayTarget(second, scores, (activation, raw), (gain * activation, gain * raw)),
        )

    def chip(self, seed: int | None) -> Chip:
        """Chip number `seed`; None gives the nominal chip, which has no spread."""
        nominal = self.parts, self.pairs, self.drivers
        return draw_chip(self.network, self.technology, self.scales, nominal, self.arrays, seed)
