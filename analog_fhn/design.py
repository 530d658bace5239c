"""A Network laid out in a Technology: every component with its nominal value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analog_fhn._support.cards import Card, Grid, Shown
from analog_fhn._support.words import counted, engineering
from analog_fhn.array.crossbar import Crossbar, map_weights
from analog_fhn.array.read_out import read_out_class
from analog_fhn.cell.base import Cell, cell_class
from analog_fhn.chip import (
    ArrayTarget,
    ManufacturedChip,
    array_names,
    check_finite,
    draw_chip,
    plot_conductances,
)
from analog_fhn.draws import Shift
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, init=False, repr=False)
class Design(Shown):
    """Nominal layout: cells and target conductances of every layer.

    Parameters
    ----------
    network
        What to build.
    technology
        What to build it with: a technology, the name of one in `calibration/`, or the path of a YAML file.

    Raises
    ------
    InputError
        If the technology's cell does not exist or cannot be made (see its class), if a coefficient of a neuron would
        not be finite, if an array asks of its device what is not known of it, if a low-pass is slower than the control
        window is long, if a clip quantile is missing, or if the network has stages that no circuit is drawn for
        (`Network.plain_stages`).
    """

    network: Network
    technology: Technology

    def __init__(self, network: Network, technology: Technology | str | Path) -> None:
        if not isinstance(technology, Technology):
            technology = Technology.load(technology)
        object.__setattr__(self, "network", replace(network, protocol=technology.protocol(network.protocol)))
        object.__setattr__(self, "technology", technology)
        self._check()

    def _check(self) -> None:
        network, technology = self.network, self.technology
        if not network.plain_stages:
            raise InputError(
                f"network with {network.stages_text}: only ideal neurons have these stages so far; a design takes "
                "tanh 'drive', behind 'linear'"
            )
        if problems := technology.device_problems():
            raise InputError(f"technology {technology.name!r}: {'; '.join(problems)}")
        if network.readout == "vote" and not cell_class(technology.cell).SHOWS_OSCILLATIONS:
            raise InputError(
                f"technology {technology.name!r} (cell {technology.cell!r}): its cells hand on time averages, of which "
                "there is no vote; expected the readout 'mean'"
            )
        quantiles = technology.array.clip_quantile
        if isinstance(quantiles, list) and len(quantiles) != len(network.dense):
            raise InputError(
                f"technology {technology.name!r}: array.clip_quantile has {len(quantiles)} numbers; expected one, or "
                f"{len(network.dense)}, one for each array of the network"
            )
        tau = technology.low_pass.time_constant
        smoothed = cell_class(technology.cell).HAS_LOW_PASSES and (len(network.hidden_layers) > 1 or network.held[-1])
        if smoothed and tau > network.protocol.control:
            raise InputError(
                f"technology {technology.name!r}: low_pass.time_constant = {tau:g} T is longer than the control window "
                f"of {network.protocol.control:g} T; expected a fraction of it (longer windows or a faster low-pass)"
            )
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            for cell in self.cells:
                nominal = cell.cells(tuple(group[:1] for group in cell.nominal))
                check_finite(technology, nominal.dynamics.numbers())

    def _card(self) -> Card:
        worst, error = max(self.errors.items(), key=lambda item: abs(item[1]))
        times = self.network.protocol
        seconds = self.windows * (times.settle + times.control) * self.time_unit
        facts = {
            "neurons": f"{self.network.n_hidden}, cell {self.technology.cell}",
            "an answer": f"{counted(self.windows, 'window')}, {engineering(seconds, 's')}",
            "largest error of nominal values": f"{100 * error:+.2f} % ({worst.replace('_', ' ')})",
        }
        rows = []
        for name, array in zip(self.array_names, self.arrays, strict=True):
            bar = array.crossbar
            n_rows, n_out = bar.g_plus.shape
            rows.append((name, f"{n_rows} x {2 * n_out}", 2 * n_rows * n_out, engineering(bar.siemens_per_weight, "S")))
        grid = Grid(("array", "rows x bit lines", "devices", "conductance of a weight of 1"), rows)
        return Card("Design", f"{self.network.sizes_text} in technology {self.technology.name}", facts, (grid,))

    def plot(self, array: int = 0, ax: Axes | None = None) -> Axes:
        """Map of the conductances that one array's devices are meant to have; see `ManufacturedChip.plot`."""
        bar, g_max = self.arrays[array].crossbar, self.technology.array.g_max
        return plot_conductances(bar.conductance, g_max, self.array_names[array], self._card().heading, ax)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Layout of each hidden layer's cells."""
        kind, layers = cell_class(self.technology.cell), self.network.hidden_layers
        last = len(layers) - 1
        return tuple(
            kind(fhn, unit, self.technology, dense.n_out, number < last or self.network.held[number], ceiling)
            for number, (dense, unit, fhn, ceiling) in enumerate(
                zip(layers, self.network.units, self.network.neurons, self.network.ceilings, strict=True)
            )
        )

    @property
    def time_unit(self) -> float:
        """Duration of one unit of dimensionless time (s)."""
        return self.cells[0].time_unit

    @property
    def windows(self) -> int:
        """Settling times and control windows that an image takes, one after another."""
        return self.network.windows_where(integrated=not self.cells[0].HAS_LOW_PASSES)

    @property
    def errors(self) -> dict[str, float]:
        """Relative errors that the E series leave in the cells, and in the gain behind the input array."""
        first = self.arrays[0]
        gain = float(first.sense.transresistance[0]) * first.crossbar.siemens_per_weight
        gain *= first.row_volts[0] / first.volts[0]
        return {name: error for cell in self.cells for name, error in cell.errors.items()} | {"input_gain": gain - 1.0}

    @property
    def crossbars(self) -> tuple[Crossbar, ...]:
        """Target conductances of each weight layer."""
        return tuple(array.crossbar for array in self.arrays)

    @cached_property
    def arrays(self) -> tuple[ArrayTarget, ...]:
        """Target conductances, nominal sense amplifiers and voltage scales of every array, the output array last."""
        network, technology = self.network, self.technology
        read, stages = technology.array.read_voltage, read_out_class(technology.READ_OUT)
        largest = max(abs(limit) for limit in network.input_range)
        rows = (read / largest, read / largest)  # V for an input of 1, with recentring and without
        at_read = largest  # the input that is carried by a row at the read voltage
        targets = []
        for number, dense in enumerate(network.dense):
            bar = map_weights(dense.weights, dense.bias, technology.array, layer=number, bias_drive=largest)
            if number < len(self.cells):
                volts = self.cells[number].volts_per_z
                sense = stages.nominal(bar, technology, volts * at_read)
                targets.append(ArrayTarget(number, bar, sense, (rows[0], rows[0]), (volts, volts)))
                rows, largest = self.cells[number].row_volts, self.cells[number].largest_activation
                at_read = read / rows[0]
            else:
                sense = stages.nominal(bar, technology, None)
                gain = float(sense.transresistance[0]) * bar.siemens_per_weight
                targets.append(ArrayTarget(number, bar, sense, rows, (gain * rows[0], gain * rows[1])))
        return tuple(targets)

    @property
    def array_names(self) -> tuple[str, ...]:
        """The arrays in words, in the order of `arrays`."""
        return array_names(len(self.cells))

    @property
    def layer_names(self) -> tuple[str, ...]:
        """What a hidden layer's parts are said to be of, in the order of `cells`; "" where there is one layer alone."""
        if len(self.cells) == 1:
            return ("",)
        return tuple(f" of hidden layer {number}" for number in range(1, len(self.cells) + 1))

    def chip(self, seed: int | None, shift: Shift | None = None) -> ManufacturedChip:
        """Chip number `seed`; None gives the nominal chip, which has no spread.

        Parameters
        ----------
        shift
            Moves the normal numbers that the chip is drawn from, or those of the nominal chip, which are 0; None:
            nothing does.
        """
        return draw_chip(self.network, self.technology, self.cells, self.arrays, seed, shift)
