"""What can be done with a real chip: drive it, read it, set its codes, write its devices; a simulator in its place."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from analog_fhn.array.crossbar import Crossbar, Writes
from analog_fhn.backends.base import Backend
from analog_fhn.backends.table.backend import Table, default_drives
from analog_fhn.chip import ArrayLayer, ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import judge, layer_inputs, layer_values, make_backend
from analog_fhn.neuron import FloatArray
from analog_fhn.trim.codes import TrimCodes, TrimHardware, rows_carry_activations
from analog_fhn.trim.state import TrimState, with_codes

BoolArray = NDArray[np.bool_]

_MEASURED = 200.0  # T, in which the neurons of cells that hand on time averages are measured


@dataclass
class Costs:
    """What was spent on a chip so far.

    Parameters
    ----------
    runs
        Times that inputs were applied and held for a settling time and a control window.
    readings
        Numbers that were read.
    pulses
        Write pulses on devices.
    """

    runs: int = 0
    readings: int = 0
    pulses: int = 0

    def copy(self) -> Costs:
        """What was spent up to now."""
        return Costs(self.runs, self.readings, self.pulses)


class Bench(Interface):
    """A chip that can be driven, read and written; nothing else of it is known but its design.

    Hidden layers and arrays are numbered from 0; behind array k stands hidden layer k, and the last array is the output
    array. Every method adds to `costs`.

    Parameters
    ----------
    noisy
        Whether a number that is read twice may differ.
    """

    design: Design
    hardware: TrimHardware
    costs: Costs
    noisy: bool

    def neurons(self, layer: int, drives: FloatArray) -> FloatArray:
        """Time averages of x of a hidden layer under test drives, each of shape (m, n_neurons)."""

    def hidden(self, images: NDArray[np.floating]) -> FloatArray:
        """What the output array's rows carry, (n_images, n_rows), for images (n_images, n_in)."""

    def scores(self, images: NDArray[np.floating]) -> FloatArray:
        """Time averages of the outputs, (n_images, n_classes), in the units of the trained weights."""

    def both(self, images: NDArray[np.floating], array: int) -> tuple[FloatArray, FloatArray]:
        """What the rows of an array carry, and what the rows behind its neurons do, read in the same runs.

        Shapes (n_runs, n_in of the array) and (n_runs, n_out); a run is an image, of a convolution a position of an
        image. Of the input array the former are the images themselves, of the output array the latter are the scores.
        """

    def classify(self, images: NDArray[np.floating]) -> NDArray[np.intp]:
        """Classes of images, as the chip gives them with the network's readout."""

    def targets(self, array: int) -> Crossbar:
        """Conductances that the devices of an array were last written to."""

    @property
    def codes(self) -> TrimCodes:
        """The codes that are set."""

    def set_codes(self, codes: TrimCodes) -> None:
        """Set the chip's trim codes."""

    def write(self, array: int, target: Crossbar, plus: BoolArray, minus: BoolArray) -> int:
        """Write the devices marked in `plus` and `minus` to their targets; returns the number of pulses."""


class SimulatedBench:
    """A drawn chip in the place of a real one.

    Parameters
    ----------
    design, seed
        Of the chip; seed None: without spread.
    backend
        What integrates its neurons, name or instance.
    table
        Drives of the response tables that images are read from; 0: every image is simulated. None: as many as
        `analog_fhn.backends.table.backend.default_drives` says.
    hardware
        What the codes set.
    verify
        Write-verify when devices are written again: tolerance as a share of g_max; None: as the technology says.
    pulses
        Largest number of pulses per device then; None: as the technology says.
    tables
        Folder where response tables are kept.
    reading_noise
        Standard deviation of every reading, in units of x: of `neurons` as it is, of rows times their nominal gain, of
        `scores` times the rms of the trained output weights besides. `classify`, where the chip decides and no number
        is read, has none.

    Raises
    ------
    InputError
        If the noise is negative or not finite.
    """

    def __init__(
        self,
        design: Design,
        seed: int | None,
        *,
        backend: str | Backend = "direct",
        table: int | None = None,
        hardware: TrimHardware | None = None,
        verify: float | None = None,
        pulses: int | None = None,
        tables: Path | None = None,
        reading_noise: float = 0.0,
    ) -> None:
        if not 0.0 <= reading_noise < np.inf:
            raise InputError(f"reading noise {reading_noise:g}: expected a finite number from 0")
        self.design, self.costs = design, Costs()
        self.noisy = reading_noise > 0.0
        self._reading_noise = reading_noise
        self._n_noisy_readings = 0
        self.hardware = TrimHardware() if hardware is None else hardware
        self._inner = make_backend(backend) if isinstance(backend, str) else backend
        n = default_drives(self._inner.name, design.network.readout) if table is None else table
        self._engine: Backend = Table(self._inner, n, tables) if n else self._inner
        array = design.technology.array
        self._verify = array.write_tolerance if verify is None else verify
        self._pulses = array.write_pulses if pulses is None else pulses
        averages = not all(cell.SHOWS_OSCILLATIONS for cell in design.cells)
        self._windows = math.ceil(_MEASURED / design.network.protocol.control) if averages else 1
        self._as_made = design.chip(seed)
        self._arrays = self._as_made.arrays
        self.state = TrimState.untouched(design, seed, self.hardware)
        self._chip = self._as_made

    @property
    def chip(self) -> ManufacturedChip:
        """The chip as it is now, for the export; the trimming does not look at it."""
        return self._chip

    @property
    def codes(self) -> TrimCodes:
        """The codes that are set."""
        return self.state.codes

    def targets(self, array: int) -> Crossbar:
        """Conductances that the devices of an array were last written to."""
        return self.state.targets[array].crossbar

    def neurons(self, layer: int, drives: FloatArray) -> FloatArray:
        """See `Bench.neurons`; simulated one by one, without a table."""
        self._spend(len(drives), drives.size)
        cells = self._chip.layers[layer].cells
        return self._noisy(self._inner.respond(cells, drives, self.design.network.protocol).mean, self._reading_noise)

    def hidden(self, images: NDArray[np.floating]) -> FloatArray:
        """See `Bench.hidden`."""
        rows = self._rows(images)[-1]
        self._show(len(images), rows.size)
        return self._noisy(rows, self._noise_of_rows(len(self._chip.layers) - 1))

    def scores(self, images: NDArray[np.floating]) -> FloatArray:
        """See `Bench.scores`."""
        scores = self._scores(self._rows(images)[-1])
        self._show(len(images), scores.size)
        return self._noisy(scores, self._noise_of_scores())

    def both(self, images: NDArray[np.floating], array: int) -> tuple[FloatArray, FloatArray]:
        """See `Bench.both`.

        Cells that hand on time averages over short windows are measured over many, one after another, while their
        neurons run on: each single window errs by where in a period it ends.
        """
        windows = self._windows if array < len(self._chip.layers) else 1
        protocol = self.design.network.protocol
        chip = (
            self._chip
            if windows == 1
            else self._chip.with_protocol(replace(protocol, control=windows * protocol.control))
        )
        rows, behind = layer_values(chip, images, self._engine)
        inputs, read = rows[array], 0
        if array > 0:
            read, inputs = inputs.size, self._noisy(inputs, self._noise_of_rows(array - 1))
        if array < len(self._chip.layers):
            outputs, noise = behind[array], self._noise_of_rows(array)
        else:
            outputs, noise = self._scores(rows[array]), self._noise_of_scores()
        self._show(windows * len(images), windows * (read + outputs.size))
        return inputs, self._noisy(outputs, noise)

    def classify(self, images: NDArray[np.floating]) -> NDArray[np.intp]:
        """See `Bench.classify`; the same as `analog_fhn.inference.classify`."""
        network = self.design.network
        self._show(len(images), len(images))
        readouts = [(network.readout, network.recentre)]
        return judge(self._chip, images, readouts, self._engine, window=False)[0].predictions

    def set_codes(self, codes: TrimCodes) -> None:
        """See `Bench.set_codes`."""
        self.state = replace(self.state, codes=codes)
        self._renew()

    def write(self, array: int, target: Crossbar, plus: BoolArray, minus: BoolArray) -> int:
        """See `Bench.write`."""
        if not (plus.any() or minus.any()):
            return 0
        old = self.state.targets[array]
        writes = Writes.none(old.crossbar) if old.writes is None else old.writes
        new = replace(
            old,
            crossbar=replace(
                old.crossbar,
                g_plus=np.where(plus, target.g_plus, old.crossbar.g_plus),
                g_minus=np.where(minus, target.g_minus, old.crossbar.g_minus),
            ),
            writes=writes.then(plus, minus, self._verify, self._pulses),
        )
        technology, seed = self.design.technology, self.state.seed
        targets, arrays = list(self.state.targets), list(self._arrays)
        targets[array], arrays[array] = new, ArrayLayer.made(new, technology, seed)
        self.state, self._arrays = replace(self.state, targets=tuple(targets)), tuple(arrays)
        self._renew()
        spent = new.write_pulses(technology, seed)
        self.costs.pulses += spent
        return spent

    def _renew(self) -> None:
        self._chip = with_codes(self._as_made, self._arrays, self.state.codes, self.hardware)

    def _noisy(self, values: FloatArray, sigma: float) -> FloatArray:
        if sigma == 0.0:
            return values
        seed = self.state.seed
        self._n_noisy_readings += 1
        generator = np.random.default_rng((0 if seed is None else 1 + seed, self._n_noisy_readings))
        return values + sigma * generator.standard_normal(values.shape)

    def _noise_of_rows(self, layer: int) -> float:
        network = self.design.network
        carry = rows_carry_activations(network, layer)
        gain = network.recentring(layer)[0] if carry else 1.0
        return self._reading_noise * abs(gain)

    def _noise_of_scores(self) -> float:
        network = self.design.network
        weights = float(np.sqrt(np.mean(network.output.weights**2)))
        return self._noise_of_rows(len(network.hidden_layers) - 1) * weights

    def _spend(self, runs: int, readings: int) -> None:
        self.costs.runs += runs
        self.costs.readings += readings

    def _show(self, images: int, readings: int) -> None:
        """Count images that are shown, each of which takes all windows of an answer."""
        self._spend(images * self.design.windows, readings)

    def _rows(self, images: NDArray[np.floating]) -> list[FloatArray]:
        """What the rows of each array carry, each of shape (n_images, n_in of the array)."""
        return layer_inputs(self._chip, images, self._engine)

    def _scores(self, hidden: FloatArray) -> FloatArray:
        output = self._chip.output
        return np.asarray(hidden @ output.weights + output.bias_of(self.design.network.recentre))
