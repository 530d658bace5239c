"""A chip: layers of weights and cells, as mathematics or as one manufactured sample of a design."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.cards import Card, Grid, Shown
from analog_fhn._support.words import counted, engineering
from analog_fhn.array.compensation import compensating_gains
from analog_fhn.array.converters import ConvertedFront, Converters
from analog_fhn.array.crossbar import Crossbar, Writes, manufacture, pulses
from analog_fhn.array.nonlinear import NonlinearArray
from analog_fhn.array.read_out import Columns, ReadOut
from analog_fhn.array.wires import Ports, solve_tiled
from analog_fhn.cell.base import Cell, Cells, CircuitCells, LinearDrive
from analog_fhn.draws import (
    DeviceDraws,
    DevicePlaces,
    ReadNoise,
    RunNoise,
    Shift,
    check_seed,
    draw_cell_parts,
    draw_hold_parts,
    draw_sense_parts,
    hold_samples,
)
from analog_fhn.errors import InputError
from analog_fhn.hold import Hold, HoldParts, window_seconds
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.patches import PLAIN, Front
from analog_fhn.technology.sections import Adc, Array
from analog_fhn.technology.technology import Technology
from analog_fhn.technology.typed_yaml import listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class ArrayTarget:
    """One array as designed; see `ArrayLayer`.

    Parameters
    ----------
    number
        From 0, the input array.
    writes
        What was written again after manufacture; `crossbar` then holds each device's last target. None: nothing.
    """

    number: int
    crossbar: Crossbar
    sense: ReadOut
    row_volts: tuple[float, float]
    volts: tuple[float, float]
    writes: Writes | None = None

    def draws(self, technology: Technology, seed: int | None, shift: Shift | None = None) -> DeviceDraws | None:
        """Random numbers of its devices on the chip of this seed, shifted; None: nominal devices."""
        if seed is None and shift is None:
            return None
        return DeviceDraws(seed, self.number, self.crossbar.g_plus.shape, DevicePlaces.of(technology), shift)

    def write_pulses(self, technology: Technology, seed: int | None) -> int:
        """Pulses that the last round of `writes` took on the chip of this seed."""
        if self.writes is None:
            return 0
        return pulses(self.crossbar, technology.array, self.draws(technology, seed), self.writes)


@dataclass(frozen=True)
class ArrayLayer:
    """One manufactured array with its sense amplifiers.

    Parameters
    ----------
    crossbar
        Conductances of the devices.
    ports
        The same as seen through the wires from the ends of the lines.
    sense
        Components of the transimpedance stages.
    columns
        Gains and offsets from the voltages of the rows to the outputs, of all of these.
    row_volts
        Voltage of a row for an input of 1 (V); of the output array's rows with recentring, without.
    volts
        Output voltage that stands for 1 (V), in the same two cases.
    target
        Conductances that the devices were programmed to.
    nonlinear
        The array with its devices' current-voltage characteristics; None: they are ohmic, as `ports` and `columns` have
        them. These hold the conductances at the read voltage.
    """

    crossbar: Crossbar
    ports: Ports
    sense: ReadOut
    columns: Columns
    row_volts: tuple[float, float]
    volts: tuple[float, float]
    target: Crossbar
    nonlinear: NonlinearArray | None = None

    @classmethod
    def made(
        cls, target: ArrayTarget, technology: Technology, seed: int | None, shift: Shift | None = None
    ) -> ArrayLayer:
        """Draw an array's devices and sense amplifiers, and solve its wires.

        A device that was written again (`ArrayTarget.writes`) is the same device with another programming error. Where
        the technology compensates drift, the gains of the amplifiers are set when all is drawn.

        Parameters
        ----------
        seed
            Of the chip; None: nominal devices and amplifiers.
        shift
            Moves normal numbers; None: nothing does.
        """
        array, kelvin = technology.array, technology.conditions.temperature
        draws = target.draws(technology, seed, shift)
        crossbar = manufacture(target.crossbar, array, kelvin, draws, target.writes)
        ports = _ports(crossbar, array)
        sense = draw_sense_parts(target.sense, target.number, technology, seed, shift)
        if array.drift_compensation is not None and array.drift_time is not None:
            fresh = array.model_copy(update={"drift_time": None})
            before = _ports(manufacture(target.crossbar, fresh, kelvin, draws, target.writes), array)
            then, now = (sense.columns(one, technology).gain for one in (before, ports))
            sense = sense.with_gain(compensating_gains(then, now, target.number, array.drift_compensation))
        columns = sense.columns(ports, technology)
        conductance, nonlinear = crossbar.conductance, None
        if (v0 := array.sinh_volts(conductance)) is not None:
            nonlinear = NonlinearArray(
                conductance, v0, array.read_voltage, array.wires, array.tile_rows, array.tile_columns
            )
        return cls(crossbar, ports, sense, columns, target.row_volts, target.volts, target.crossbar, nonlinear)

    def with_sense(self, sense: ReadOut, technology: Technology) -> ArrayLayer:
        """The same devices and wires with other amplifiers."""
        return replace(self, sense=sense, columns=sense.columns(self.ports, technology))

    @property
    def weights(self) -> FloatArray:
        """Effective weights, shape (n_in, n_out)."""
        return self.columns.gain[: self.crossbar.n_in] * (self.row_volts[0] / self.volts[0])

    def bias(self, recentre: bool = True) -> FloatArray:
        """Output without input, shape (n_out,): bias rows and the amplifiers' offsets."""
        case = 0 if recentre else 1
        row = self.crossbar.bias_drive * self.row_volts[case]
        constant = row * self.columns.gain[self.crossbar.n_in :].sum(axis=0)
        return np.asarray((constant + self.columns.offset) / self.volts[case])

    def column_currents(self, rows: FloatArray) -> FloatArray:
        """Currents out of the columns, shape (2 n_out,), for voltages of all rows (n_rows,), bias rows last (A)."""
        if self.nonlinear is None:
            return np.asarray(rows @ self.ports.effective)
        return np.asarray(self.nonlinear.currents(rows[None])[0])

    def excess(self, recentre: bool = True) -> Excess | None:
        """What the devices' characteristics add to the outputs; None: they are ohmic."""
        return None if self.nonlinear is None else Excess(self, self.nonlinear, recentre)

    def row_voltages(self, inputs: NDArray[np.floating] | None, recentre: bool = True) -> FloatArray:
        """Voltages of the rows under one image's inputs (n_in,), the bias rows last; None: of the bias rows alone (V).

        Raises
        ------
        ValueError
            If the inputs' shape does not fit.
        """
        unit, bar = self.row_volts[0 if recentre else 1], self.crossbar
        values: FloatArray = np.empty(0) if inputs is None else np.asarray(inputs, dtype=np.float64)
        if inputs is not None and values.shape != (bar.n_in,):
            raise ValueError(f"inputs have shape {values.shape}; expected ({bar.n_in},)")
        return np.concatenate([values * unit, np.full(bar.bias_rows, bar.bias_drive * unit)])


def _ports(crossbar: Crossbar, array: Array) -> Ports:
    """An array as seen through its wires."""
    return solve_tiled(crossbar.conductance, array.wires, tile_rows=array.tile_rows, tile_columns=array.tile_columns)


@dataclass(frozen=True, eq=False)
class Excess:
    """What curved characteristics of an array's devices add to its outputs as ohmic devices would make them.

    Parameters
    ----------
    array
        The array.
    nonlinear
        The array with the characteristics.
    recentre
        Whether rows and outputs are scaled as with recentring.
    """

    array: ArrayLayer
    nonlinear: NonlinearArray
    recentre: bool

    def __call__(self, inputs: NDArray[np.floating]) -> FloatArray:
        """Addition, shape (n_runs, n), in the units of the outputs, for inputs (n_runs, n_in).

        Raises
        ------
        SimulationError
            If the voltages of the devices cannot be found.
        """
        unit, bias = self.array.row_volts[0 if self.recentre else 1], self.array.row_voltages(None, self.recentre)
        values = np.asarray(inputs, dtype=np.float64)
        rows = np.hstack([values * unit, np.broadcast_to(bias, (len(values), len(bias)))])
        currents = self.nonlinear.currents(rows) - rows @ self.array.ports.effective
        return np.asarray(self.array.columns.outputs(currents) / self.array.volts[0 if self.recentre else 1])


@dataclass(frozen=True, eq=False)
class HiddenLayer:
    """Weights and the cells behind them.

    A convolution is used at several positions of an image; its runs are those of all positions of the first image,
    then those of the next. Of other layers a run is an image.

    Parameters
    ----------
    weights, bias
        Effective ones, shapes (n_in, n) and (n,); with an array those of its devices through wires and amplifiers.
    cells
        Of n neurons.
    front
        What stands between the values of the layer before and the rows of the weights.
    hold
        What holds the activations until the next layer reads them; None: they drive it as they are.
    row_errors
        What errors of the hold stages before add to the rows, shape (n_positions, n_in); None: nothing.
    excess
        What curved characteristics of the devices add to z; None: they are ohmic.
    """

    weights: FloatArray
    bias: FloatArray
    cells: Cells
    front: Front = PLAIN
    hold: Hold | None = None
    row_errors: FloatArray | None = None
    excess: Excess | None = None

    @property
    def biases(self) -> FloatArray:
        """Bias with the errors of the hold stages before, at all positions (n_positions, n), or alike at all (n,)."""
        return self.bias if self.row_errors is None else self.bias + self.row_errors @ self.weights

    def pre_activations(self, inputs: NDArray[np.floating]) -> FloatArray:
        """z, shape (n_runs, n), for inputs (n_runs, n_in)."""
        z: FloatArray = np.asarray(inputs, dtype=np.float64) @ self.weights
        z = at_positions(z, self.biases)
        return z if self.excess is None else z + self.excess_of(inputs)

    def excess_of(self, inputs: NDArray[np.floating]) -> FloatArray:
        """What curved characteristics add to z, shape (n_runs, n), for inputs (n_runs, n_in); 0 of ohmic devices."""
        if self.excess is None:
            return np.zeros((len(inputs), len(self.bias)))
        return self.excess(inputs if self.row_errors is None else at_positions(inputs, self.row_errors))

    def drives(
        self, inputs: NDArray[np.floating], ripple: FloatArray | None = None, noise: ReadNoise | None = None
    ) -> FloatArray:
        """Drives of the neurons, shape (n_runs, n).

        Parameters
        ----------
        inputs
            Shape (n_runs, n_in).
        ripple
            Variance of the ripple on each input, of the same shape, of oscillations that do not know of each other's
            phases; None: no ripple.
        noise
            Of the read-out in front of the cells; None: none.
        """
        variance = 0.0 if ripple is None else ripple @ self.weights**2
        z = self.pre_activations(inputs)
        if noise is not None:
            z += noise.drawn(z.shape)
        return self.cells.drive_stage.drives(z, variance)


@dataclass(frozen=True, eq=False)
class OutputLayer:
    """The output weights.

    Parameters
    ----------
    weights, bias
        Effective ones, shapes (n_in, n_classes) and (n_classes,).
    raw_bias
        Bias without recentring: offsets count more on the smaller rows.
    front
        What stands between the values of the last hidden layer and the rows.
    excess, raw_excess
        What curved characteristics of the devices add to the scores, with recentring and without; None: they are ohmic.
    """

    weights: FloatArray
    bias: FloatArray
    raw_bias: FloatArray
    front: Front = PLAIN
    excess: Excess | None = None
    raw_excess: Excess | None = None

    def bias_of(self, recentre: bool) -> FloatArray:
        """Bias with recentring or without, shape (n_classes,)."""
        return self.bias if recentre else self.raw_bias

    def excess_of(self, rows: NDArray[np.floating], recentre: bool = True) -> FloatArray | float:
        """What curved characteristics add to the scores, shape (n, n_classes), for rows (n, n_in)."""
        excess = self.excess if recentre else self.raw_excess
        return 0.0 if excess is None else excess(rows)


@dataclass(frozen=True, eq=False, repr=False)
class Chip(Shown):
    """Hidden layers and an output layer; one that was never manufactured is the mathematics.

    Parameters
    ----------
    network
        The network that it realises.
    layers
        Hidden layers, the first one first.
    output
        Output layer.
    converters
        Analog-to-digital converters behind the outputs; None: none.
    """

    network: Network
    layers: tuple[HiddenLayer, ...]
    output: OutputLayer
    converters: Adc | None

    @classmethod
    def ideal(cls, network: Network) -> Chip:
        """The mathematics: float weights, ideal FHN equations, and between hidden layers the exact time average."""
        last, fronts = network.output, network.fronts
        layers = tuple(
            HiddenLayer(dense.weights, dense.shift, ideal_cells(network, number), fronts[number])
            for number, dense in enumerate(network.hidden_layers)
        )
        return cls(network, layers, OutputLayer(last.weights, last.shift, last.shift, fronts[-1]), None)

    def _card(self) -> Card:
        return Card("Ideal chip", f"{self.network.sizes_text}, float weights, ideal equations", self._facts())

    def _facts(self) -> dict[str, object]:
        times = self.network.protocol
        return {
            "neurons": self.network.n_hidden,
            "an answer": f"{counted(self.windows, 'window')} of {times.settle:g} T + {times.control:g} T",
            "readout": self.network.readout,
        }

    @property
    def last(self) -> HiddenLayer:
        """The hidden layer in front of the output layer."""
        return self.layers[-1]

    def inputs(self, images: NDArray[np.floating]) -> NDArray[np.floating]:
        """What the first linear map is given of images (n_images, n_in)."""
        return images if self.network.inputs is None else self.network.inputs(np.asarray(images, dtype=np.float64))

    def noise_of_runs(self) -> RunNoise:
        """What is drawn anew at each run: of the mathematics nothing."""
        return RunNoise.none(len(self.layers))

    def low_passes_before(self, number: int) -> int:
        """Low-passes through which the inputs of hidden layer number `number` come, since they were last held."""
        held = self.network.held[:number]
        return len(held) - 1 - max((k for k, one in enumerate(held) if one), default=-1)

    def scores_of_rows(self, recentre: bool) -> tuple[FloatArray, FloatArray]:
        """Weights (n, n_classes) and shift (n_classes,) of the scores ``x @ weights + shift`` of the last layer's x.

        Row stages, output array and biases in one; without `recentre` the rows carry x itself.

        Raises
        ------
        InputError
            If there are units between rows and output array, or its devices are not ohmic: scores are then no such
            product.
        """
        if self.output.excess is not None:
            raise InputError("the devices of the output array are not ohmic: scores are not linear in x")
        if self.network.before_output is not None:
            raise InputError(
                f"network with {self.network.stages_text}: its scores are not linear in x; expected behind 'linear'"
            )
        gain, offset = self.last.cells.row_stage.of(recentre)
        shift: FloatArray = offset @ self.output.weights
        return gain[:, None] * self.output.weights, shift + self.output.bias_of(recentre)

    @property
    def windows(self) -> int:
        """Settling times and control windows that an image takes, one after another."""
        return self.network.windows

    def with_protocol(self, protocol: Protocol) -> Chip:
        """Copy with another protocol; hold stages droop by its windows."""
        return replace(self, network=replace(self.network, protocol=protocol))

    def with_ideal_cells(self) -> Chip:
        """Copy whose cells are ideal; only the arrays keep their errors."""
        layers = tuple(
            HiddenLayer(layer.weights, layer.bias, ideal_cells(self.network, number), layer.front, excess=layer.excess)
            for number, layer in enumerate(self.layers)
        )
        return Chip(self.network, layers, self._output_alone(), self.converters)

    def _output_alone(self) -> OutputLayer:
        """The output layer without errors of hold stages before it."""
        return self.output


def array_names(n_hidden: int) -> tuple[str, ...]:
    """Arrays in words, of a network with so many hidden layers, the output array last."""
    return ("input array", *(f"array {number}" for number in range(1, n_hidden)), "output array")


def plot_conductances(g: FloatArray, g_max: float, name: str, title: str, ax: Axes | None) -> Axes:
    """Map of the conductances g (S) of an array, (word lines, bit lines); see `ManufacturedChip.plot`."""
    from analog_fhn import plots  # needs an optional package

    on, label = plots.canvas(ax), f"{name}, {g.shape[0]} x {g.shape[1]}"
    return plots.only_axes(plots.conductances({label: g}, max(g_max, float(g.max())), title, on), on)


def at_positions(z: NDArray[Any], biases: NDArray[Any]) -> NDArray[Any]:
    """Pre-activations (n_runs, n) with biases (n,), or (n_positions, n) of a layer that is used at these positions."""
    if biases.ndim == 1:
        return np.asarray(z + biases)
    return np.asarray((z.reshape(-1, *biases.shape) + biases).reshape(z.shape))


def ideal_cells(network: Network, number: int) -> Cells:
    """Ideal cells of hidden layer number `number` of a network, from 0."""
    dense, drive = network.hidden_layers[number], None
    if dense.drive == "linear":
        # Inputs within the network's range, through the units in front of the layer.
        low, high = np.tanh(network.input_range)
        ends = np.stack([low * dense.weights, high * dense.weights])
        gain, zero = np.full(dense.n_out, network.fhn.gamma), np.zeros(dense.n_out)
        lowest, highest = (edge.sum(axis=0) + dense.shift for edge in (ends.min(axis=0), ends.max(axis=0)))
        drive = LinearDrive(gain, zero, lowest, highest)
    ceiling = network.ceilings[number]
    return Cells.ideal(network.units[number], network.neurons[number], dense.n_out, drive, ceiling)


@dataclass(frozen=True, eq=False)
class Hardware:
    """What a hidden layer of a manufactured chip is made of.

    Parameters
    ----------
    array
        The array in front of the cells.
    cells
        The cells, with their parts.
    holds
        What holds their activations; None: they drive the next array as they are.
    """

    array: ArrayLayer
    cells: CircuitCells
    holds: HoldParts | None = None

    def hold(self, technology: Technology, seconds: float) -> Hold | None:
        """What the hold stages do, with this settling time and control window (s)."""
        if self.holds is None:
            return None
        return Hold.of(self.holds, technology.hold.noise, self.cells.cell.row_volts[0], seconds, len(self.cells))


@dataclass(frozen=True, eq=False, repr=False)
class ManufacturedChip(Chip):
    """One manufactured sample of a design; every component's actual value, which every backend is given.

    Parameters
    ----------
    technology
        What it is built with.
    hardware
        One for each hidden layer.
    output_array
        The last array.
    seed
        The integer that all values were drawn from; None: a nominal chip, without spread.

    Raises
    ------
    InputError
        If a number that follows from the parts is not finite.
    """

    technology: Technology
    hardware: tuple[Hardware, ...]
    output_array: ArrayLayer
    seed: int | None

    def _card(self) -> Card:
        conditions = self.technology.conditions
        facts = self._facts() | {"conditions": f"{conditions.temperature:g} K, supplies x {conditions.supply:g}"}
        rows = []
        trained = self.network.weights
        for name, array, wanted in zip(array_names(len(self.hardware)), self.arrays, trained, strict=True):
            g = array.crossbar.conductance
            error = float(np.sqrt(np.mean((array.weights - wanted) ** 2) / np.mean(wanted**2)))
            low, high = (engineering(float(v), "S") for v in (g.min(), g.max()))
            rows.append((name, f"{g.shape[0]} x {g.shape[1]}", low, high, f"{100 * error:.2f} %"))
        grid = Grid(("array", "rows x bit lines", "least conductance", "largest", "rms error of weights"), rows)
        title = "Nominal chip" if self.seed is None else f"Chip {self.seed}"
        return Card(title, f"{self.network.sizes_text} in technology {self.technology.name}", facts, (grid,))

    def plot(self, array: int = 0, ax: Axes | None = None) -> Axes:
        """Map of the conductances of one array's devices.

        Parameters
        ----------
        array
            Number of the array: 0 is the input array, the last one the output array.
        ax
            Axes to draw on; None: those of a new figure.

        Raises
        ------
        MissingProgramError
            Without matplotlib.
        """
        g_max = self.technology.array.g_max
        names = array_names(len(self.hardware))
        return plot_conductances(self.arrays[array].crossbar.conductance, g_max, names[array], self._card().title, ax)

    @classmethod
    def assembled(
        cls,
        network: Network,
        technology: Technology,
        hardware: tuple[Hardware, ...],
        output_array: ArrayLayer,
        seed: int | None,
    ) -> ManufacturedChip:
        """Chip of given components.

        Raises
        ------
        InputError
            If a number that follows from them is not finite.
        """
        fronts, layers, errors = list(network.fronts), [], None
        if technology.dac is not None:
            n_rows = hardware[0].array.crossbar.n_in
            converters = Converters.of(technology.dac, network.input_range, n_rows, seed)
            fronts[0] = ConvertedFront(fronts[0].pools, fronts[0].patches, converters)
        timed = False  # of rows that are at the read voltage or at 0 V the characteristics do not matter
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            for number, one in enumerate(hardware):
                hold = one.hold(technology, window_seconds(network.protocol, one.cells.cell.time_unit))
                weights, bias = one.array.weights, one.array.bias()
                excess = None if timed else one.array.excess()
                layers.append(HiddenLayer(weights, bias, one.cells, fronts[number], hold, errors, excess))
                timed = one.cells.cell.ROWS_ARE_TIMED
                driven = number + 1 < len(hardware)
                errors = None if hold is None else hold.errors(fronts[number + 1], driven=driven)
            weights, bias, raw = output_array.weights, output_array.bias(), output_array.bias(recentre=False)
            if errors is not None:
                bias = bias + errors[0] @ weights
            curves = (None, None) if timed else (output_array.excess(), output_array.excess(recentre=False))
            output = OutputLayer(weights, bias, raw, fronts[-1], *curves)
        chip = cls(network, tuple(layers), output, technology.adc, technology, hardware, output_array, seed)
        check_finite(technology, _numbers(chip))
        return chip

    @property
    def input_converters(self) -> Converters | None:
        """Converters in front of the input array; None: there are none."""
        front = self.layers[0].front
        return front.converters if isinstance(front, ConvertedFront) else None

    @property
    def arrays(self) -> tuple[ArrayLayer, ...]:
        """All arrays, the output array last."""
        return (*(one.array for one in self.hardware), self.output_array)

    @property
    def time_unit(self) -> float:
        """Duration of one unit of dimensionless time (s)."""
        return self.hardware[0].cells.cell.time_unit

    @property
    def windows(self) -> int:
        """See `Chip.windows`."""
        return self.network.windows_where(integrated=not self.hardware[0].cells.cell.HAS_LOW_PASSES)

    def with_parts(
        self, hardware: tuple[Hardware, ...] | None = None, output_array: ArrayLayer | None = None
    ) -> ManufacturedChip:
        """Copy of which some components are others."""
        return ManufacturedChip.assembled(
            self.network, self.technology, hardware or self.hardware, output_array or self.output_array, self.seed
        )

    def with_protocol(self, protocol: Protocol) -> ManufacturedChip:
        """Copy with another protocol; hold stages droop by its windows."""
        network = replace(self.network, protocol=protocol)
        return ManufacturedChip.assembled(network, self.technology, self.hardware, self.output_array, self.seed)

    def with_ideal_stages(self) -> Chip:
        """Copy whose drive and row stages are ideal; arrays and neurons keep their errors."""
        layers = tuple(
            replace(layer, cells=one.cells.with_ideal_stages(), hold=None, row_errors=None)
            for layer, one in zip(self.layers, self.hardware, strict=True)
        )
        return Chip(self.network, layers, self._output_alone(), self.converters)

    def noise_of_runs(self) -> RunNoise:
        """What is drawn anew at each run: samples of hold stages, noise of read-outs; of a nominal chip nothing."""
        if self.seed is None:
            return RunNoise.none(len(self.layers))
        holds = (None if one.holds is None else hold_samples(self.seed, n) for n, one in enumerate(self.hardware))
        sigmas = (array.sense.read_noise(self.technology) / array.volts[0] for array in self.arrays)
        reads = (ReadNoise.of(self.seed, n, sigma) if sigma else None for n, sigma in enumerate(sigmas))
        return RunNoise(tuple(holds), tuple(reads))

    def _output_alone(self) -> OutputLayer:
        return replace(self.output, bias=self.output_array.bias())


# What overflows is refused with its name in the end (`check_finite`).
@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def draw_chip(
    network: Network,
    technology: Technology,
    cells: tuple[Cell, ...],
    targets: tuple[ArrayTarget, ...],
    seed: int | None,
    shift: Shift | None = None,
) -> ManufacturedChip:
    """Draw every component from one integer seed (see `analog_fhn.draws`); with None all have their nominal values.

    Parameters
    ----------
    cells
        Layout of each hidden layer's cells.
    targets
        All arrays before programming.
    shift
        Moves normal numbers; None: nothing does.

    Raises
    ------
    ValueError
        If the seed is negative.
    """
    check_seed(seed)
    arrays = [ArrayLayer.made(target, technology, seed, shift) for target in targets]
    hardware = []
    for number, (array, cell) in enumerate(zip(arrays, cells, strict=False)):
        streams = zip(cell.nominal, cell.streams.values(), strict=True)
        parts = tuple(draw_cell_parts(group, stream, number, technology, seed, shift) for group, stream in streams)
        holds = None
        if network.held[number]:
            nominal = HoldParts.alike(network.hidden_layers[number].n_values, {})
            holds = draw_hold_parts(nominal, number, technology, seed, shift)
        hardware.append(Hardware(array, cell.cells(parts), holds))
    return ManufacturedChip.assembled(network, technology, tuple(hardware), arrays[-1], seed)


def check_finite(technology: Technology, numbers: Iterable[tuple[str, FloatArray]]) -> None:
    """Refuse numbers of a chip, by their names, that are infinite or NaN.

    Raises
    ------
    InputError
        Naming the first of them and the values of the technology that are out of the ordinary.
    """
    for name, values in numbers:
        wrong = values[~np.isfinite(values)]
        if wrong.size:
            unusual = listed(str(one) for one in technology.unusual())
            raise InputError(
                f"technology {technology.name!r}: {name} is {wrong[0]}, expected a finite number; "
                f"{unusual or 'none of its values is unusual by itself'}"
            )


def _numbers(chip: Chip) -> Iterator[tuple[str, FloatArray]]:
    for layer in chip.layers:
        yield from layer.cells.dynamics.numbers()
        yield from ((f"{name} of the drive stages", values) for name, values in layer.cells.drive_stage.items())
        yield from ((f"{name} of the row stages", values) for name, values in layer.cells.row_stage.items())
    for number, layer in enumerate(chip.layers):
        yield f"a weight of layer {number}", layer.weights
        yield f"a bias of layer {number}", layer.biases
    yield "a weight of the output layer", chip.output.weights
    yield "a bias of the output layer", chip.output.bias
