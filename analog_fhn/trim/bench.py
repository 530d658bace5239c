"""What can be done with a real chip: drive it, read it, set its codes, write its devices; a simulator in its place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from analog_fhn.array.crossbar import Crossbar, Writes
from analog_fhn.backends.base import Backend
from analog_fhn.backends.table.backend import Table
from analog_fhn.chip import Chip, make_array, write_pulses
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import judge, make_backend
from analog_fhn.neuron import FloatArray
from analog_fhn.readout import recentring
from analog_fhn.trim.codes import Codes, TrimHardware
from analog_fhn.trim.state import TrimState, with_codes

BoolArray = NDArray[np.bool_]

_GROUP = 2000  # images whose hidden layer is computed at a time


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

    Every method adds to `costs`.

    Parameters
    ----------
    noisy
        Whether a number that is read twice may differ.
    """

    design: Design
    hardware: TrimHardware
    costs: Costs
    noisy: bool

    def neurons(self, drives: FloatArray) -> FloatArray:
        """Time averages of x under test drives, each of shape (m, n_neurons)."""

    def hidden(self, images: NDArray[np.floating]) -> FloatArray:
        """Activations as the output array's rows carry them, (n_images, n_neurons), for images (n_images, n_in)."""

    def scores(self, images: NDArray[np.floating]) -> FloatArray:
        """Time averages of the outputs, (n_images, n_classes), in the units of the trained weights."""

    def both(self, images: NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
        """`hidden` and `scores`, read in the same runs."""

    def classify(self, images: NDArray[np.floating]) -> NDArray[np.intp]:
        """Classes of images, as the chip gives them with the network's readout."""

    def targets(self, layer: int) -> Crossbar:
        """What the devices of an array (0: input, 1: output) were last written to."""

    @property
    def codes(self) -> Codes:
        """The codes that are set."""

    def set_codes(self, codes: Codes) -> None:
        """Set the chip's trim codes."""

    def write(self, layer: int, target: Crossbar, plus: BoolArray, minus: BoolArray) -> int:
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
        Drives of the response table that images are read from; 0: every image is simulated. None: 9 with `direct`, else
        33.
    hardware
        What the codes set.
    verify
        Write-verify when devices are written again: tolerance as a share of g_max; None: as the technology says.
    pulses
        Largest number of pulses per device then; None: as the technology says.
    tables
        Folder where response tables are kept.
    reading_noise
        Standard deviation of every reading, in units of x: of `neurons` as it is, of `hidden` times the nominal gain of
        the rows, of `scores` times the rms of the trained output weights besides. `classify`, where the chip decides
        and no number is read, has none.

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
        network = design.network
        gain = recentring(network.hidden, network.fhn.a, network.fhn.gamma)[0] if network.recentre else 1.0
        of_rows = reading_noise * abs(gain)
        self._noise = reading_noise, of_rows, of_rows * float(np.sqrt(np.mean(network.weights[1] ** 2)))
        self._read = 0  # how often something was read with noise
        self.hardware = TrimHardware() if hardware is None else hardware
        self._inner = make_backend(backend) if isinstance(backend, str) else backend
        n = (9 if self._inner.name == "direct" else 33) if table is None else table
        self._engine: Backend = Table(self._inner, n, tables) if n else self._inner
        array = design.technology.array
        self._verify = array.write_tolerance if verify is None else verify
        self._pulses = array.write_pulses if pulses is None else pulses
        self._made = design.chip(seed)
        assert self._made.arrays is not None
        self._arrays = self._made.arrays
        self.state = TrimState.untouched(design, seed, self.hardware)
        self._chip = self._made

    @property
    def chip(self) -> Chip:
        """The chip as it is now, for the export; the trimming does not look at it."""
        return self._chip

    @property
    def codes(self) -> Codes:
        """The codes that are set."""
        return self.state.codes

    def targets(self, layer: int) -> Crossbar:
        """What the devices of an array were last written to."""
        return self.state.targets[layer].crossbar

    def neurons(self, drives: FloatArray) -> FloatArray:
        """See `Bench.neurons`; simulated one by one, without a table."""
        self._spend(len(drives), drives.size)
        return self._noisy(self._inner.respond(self._chip, drives, self.design.network.protocol).mean, self._noise[0])

    def hidden(self, images: NDArray[np.floating]) -> FloatArray:
        """See `Bench.hidden`."""
        self._spend(len(images), len(images) * self._chip.n_neurons)
        return self._noisy(self._hidden(images), self._noise[1])

    def scores(self, images: NDArray[np.floating]) -> FloatArray:
        """See `Bench.scores`."""
        found = self._hidden(images) @ self._chip.weights[1] + self._bias()
        self._spend(len(images), found.size)
        return self._noisy(np.asarray(found), self._noise[2])

    def both(self, images: NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
        """See `Bench.both`."""
        hidden = self._hidden(images)
        scores = np.asarray(hidden @ self._chip.weights[1] + self._bias())
        self._spend(len(images), hidden.size + scores.size)
        return self._noisy(hidden, self._noise[1]), self._noisy(scores, self._noise[2])

    def classify(self, images: NDArray[np.floating]) -> NDArray[np.intp]:
        """See `Bench.classify`; the same as `analog_fhn.inference.classify`."""
        network = self.design.network
        self._spend(len(images), len(images))
        wanted = [(network.readout, network.recentre)]
        return judge(self._chip, images, wanted, self._engine, network.protocol, window=False)[0].predictions

    def set_codes(self, codes: Codes) -> None:
        """See `Bench.set_codes`."""
        self.state = replace(self.state, codes=codes)
        self._renew()

    def write(self, layer: int, target: Crossbar, plus: BoolArray, minus: BoolArray) -> int:
        """See `Bench.write`."""
        if not (plus.any() or minus.any()):
            return 0
        old = self.state.targets[layer]
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
        targets[layer], arrays[layer] = new, make_array(new, layer, technology, seed)
        self.state, self._arrays = replace(self.state, targets=tuple(targets)), tuple(arrays)
        self._renew()
        spent = write_pulses(new, layer, technology, seed)
        self.costs.pulses += spent
        return spent

    def _renew(self) -> None:
        self._chip = with_codes(self.design, self._made, self._arrays, self.state.codes, self.hardware)

    def _noisy(self, values: FloatArray, sigma: float) -> FloatArray:
        if sigma == 0.0:
            return values
        seed = self.state.seed
        self._read += 1
        generator = np.random.default_rng((0 if seed is None else 1 + seed, self._read))
        return values + sigma * generator.standard_normal(values.shape)

    def _spend(self, runs: int, readings: int) -> None:
        self.costs.runs += runs
        self.costs.readings += readings

    def _hidden(self, images: NDArray[np.floating]) -> FloatArray:
        chip, network = self._chip, self.design.network
        rows = chip.row_stage
        gain, offset = rows.of(network.recentre)
        found = np.empty((len(images), chip.n_neurons))
        for first in range(0, len(images), _GROUP):
            part = slice(first, first + _GROUP)
            mean = self._engine.respond(chip, chip.drives(images[part]), network.protocol).mean
            found[part] = gain * mean + offset
        return found

    def _bias(self) -> FloatArray:
        chip = self._chip
        bias = chip.biases[1] if self.design.network.recentre else chip.raw_bias
        assert bias is not None
        return bias
