"""One manufactured sample of a design. Nothing else in the package draws component values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from analog_fhn.array.crossbar import Crossbar, Quantity, Writes, manufacture, pulses
from analog_fhn.array.sense import SENSE_OFFSETS, SENSE_RESISTORS, Columns, SenseParts, columns
from analog_fhn.array.wires import Ports, solve_tiled
from analog_fhn.cell import neuron as circuit
from analog_fhn.cell import stages
from analog_fhn.cell.neuron import NeuronParts, Scales
from analog_fhn.cell.stages import DriverParts, DriveStage, PairParts, Parts, RowStage
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import Coefficients, FloatArray
from analog_fhn.technology.technology import NOMINAL_TEMPERATURE, Technology
from analog_fhn.technology.typed_yaml import listed

# One stream per component: a chip's resistors do not change when its capacitors are drawn differently.
_STREAM_NEURON = 0
_STREAM_ARRAY = 1
_STREAM_PAIR = 2
_STREAM_DRIVER = 3
_STREAM_LOT = 4
_STREAM_SENSE = (5, 6)  # input array, output array
# Within an array's stream; a device's first programming draws from the stream itself.
_QUANTITIES: dict[Quantity, int] = {"programming": 0, "drift": 1, "fault": 2, "temperature": 3, "read": 4}
# Within a component's stream, and its lot's: the temperature coefficient.
_TEMPERATURE = 1


@dataclass(frozen=True)
class ArrayTarget:
    """One array as designed; see `ArrayLayer`.

    Parameters
    ----------
    writes
        What was written again after manufacture; `crossbar` then holds each device's last target. None: nothing.
    """

    crossbar: Crossbar
    sense: SenseParts
    row_volts: tuple[float, float]
    volts: tuple[float, float]
    writes: Writes | None = None


@dataclass(frozen=True)
class ArrayLayer:
    """One array with its sense amplifiers.

    Parameters
    ----------
    crossbar
        Conductances of the devices.
    ports
        The same as seen through the wires from the ends of the lines.
    sense
        Components of the transimpedance stages.
    columns
        What all of these make of the voltages of the rows.
    row_volts
        Voltage of a row for an input of 1 (V); of the output array's rows with recentring, without.
    volts
        Output voltage that stands for 1 (V), in the same two cases.
    target
        Conductances that the devices were programmed to.
    """

    crossbar: Crossbar
    ports: Ports
    sense: SenseParts
    columns: Columns
    row_volts: tuple[float, float]
    volts: tuple[float, float]
    target: Crossbar

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


@dataclass(frozen=True)
class Chip:
    """Every component's actual value; what every backend takes.

    Parameters
    ----------
    network
        The network that the chip realises.
    weights, biases
        Effective weights of each layer; with crossbars those of the devices through wires and sense amplifiers. The
        biases of the input array hold its amplifiers' offsets.
    coefficients
        Nine numbers per hidden neuron.
    drive_stage, row_stage
        What the tanh pairs make of z, and the row drivers of x.
    parts, pair, driver, scales, technology
        Components behind them, at the technology's temperature; None for ideal neurons that no technology was
        chosen for.
    arrays
        Devices, wires and sense amplifiers of the input and the output array; None: ideal weights.
    raw_bias
        Bias of the output without recentring, where it is another: offsets count more on the smaller rows.
    seed
        The integer that all values were drawn from; None for a nominal or ideal chip.
    """

    network: Network
    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray | None, ...]
    coefficients: Coefficients
    drive_stage: DriveStage
    row_stage: RowStage
    parts: NeuronParts | None = None
    pair: PairParts | None = None
    driver: DriverParts | None = None
    scales: Scales | None = None
    technology: Technology | None = None
    arrays: tuple[ArrayLayer, ...] | None = None
    raw_bias: FloatArray | None = None
    seed: int | None = None

    @classmethod
    def ideal(cls, network: Network) -> Chip:
        """The mathematics: float weights and ideal FHN equations.

        Raises
        ------
        InputError
            If the network has more than one hidden layer.
        """
        if len(network.weights) != 2:
            raise InputError(
                f"network has {len(network.weights) - 1} hidden layers; a chip is modelled for exactly one "
                "(`Network.layer` is one of them)"
            )
        n_hidden = network.weights[0].shape[1]
        return cls(network, network.weights, network.biases, *_ideal(network, n_hidden))

    @cached_property
    def n_neurons(self) -> int:
        """Number of hidden neurons."""
        return len(self.coefficients)

    def pre_activations(self, images: NDArray[np.floating]) -> FloatArray:
        """What the input array hands the tanh pairs, z, shape (n_images, n_neurons), for images (n_images, n_in)."""
        inputs = np.asarray(images, dtype=np.float64)
        z: FloatArray = (np.tanh(inputs) if self.network.tanh == "input" else inputs) @ self.weights[0]
        if self.biases[0] is not None:
            z += self.biases[0]
        return z

    def drives(self, images: NDArray[np.floating]) -> FloatArray:
        """Drives of the hidden neurons, shape (n_images, n_neurons), for images (n_images, n_in)."""
        z, stage = self.pre_activations(images), self.drive_stage
        return stage.drives(z) if self.network.tanh == "drive" else np.asarray(stage.gain * z + stage.offset)

    def drive_range(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest drive that each neuron can be given, each of shape (n_neurons,).

        Where the tanh is at the inputs: for inputs within the network's range.
        """
        stage = self.drive_stage
        if self.network.tanh == "input":
            ends = np.tanh(self.network.input_range)[:, None, None] * self.weights[0]
            bias = 0.0 if self.biases[0] is None else self.biases[0]
            z = np.stack([ends.min(axis=0).sum(axis=0), ends.max(axis=0).sum(axis=0)]) + bias
            drives = np.sort(stage.gain * z + stage.offset, axis=0)
            return drives[0], drives[1]
        return stage.offset - np.abs(stage.gain), stage.offset + np.abs(stage.gain)

    def output_stage(self, recentre: bool) -> tuple[FloatArray, FloatArray]:
        """Weights (n_neurons, n_classes) and shift (n_classes,) of the scores ``x @ weights + shift``.

        Row drivers, output array and biases in one; without `recentre` the rows carry x itself.

        Raises
        ------
        InputError
            If there are sigmoid units between rows and output array: scores are then no such product.
        """
        if self.network.behind != "linear":
            raise InputError(
                f"network with {self.network.stages_text}: its scores are not linear in x; expected behind 'linear'"
            )
        gain, offset = self.row_stage.of(recentre)
        bias = self.biases[1] if recentre or self.raw_bias is None else self.raw_bias
        shift: FloatArray = offset @ self.weights[1]
        return gain[:, None] * self.weights[1], shift if bias is None else shift + bias

    def only(self, neurons: slice | NDArray[np.intp]) -> Chip:
        """Copy with only some of the hidden neurons; an array of indices may name a neuron more than once."""
        return replace(
            self,
            weights=(self.weights[0][:, neurons], self.weights[1][neurons]),
            biases=(None if self.biases[0] is None else self.biases[0][neurons], self.biases[1]),
            coefficients=self.coefficients[neurons],
            drive_stage=self.drive_stage[neurons],
            row_stage=self.row_stage[neurons],
            parts=None if self.parts is None else self.parts[neurons],
            pair=None if self.pair is None else self.pair[neurons],
            driver=None if self.driver is None else self.driver[neurons],
            arrays=None,
        )

    def with_ideal_neurons(self) -> Chip:
        """Copy whose neurons, tanh pairs and row drivers are ideal; only the arrays keep their errors."""
        neurons, drive, row = _ideal(self.network, self.n_neurons)
        return replace(
            self, coefficients=neurons, drive_stage=drive, row_stage=row,
            parts=None, pair=None, driver=None, scales=None,
        )  # fmt: skip

    def with_ideal_stages(self) -> Chip:
        """Copy whose tanh pairs and row drivers are ideal; arrays and neurons keep their errors."""
        _, drive, row = _ideal(self.network, self.n_neurons)
        return replace(self, drive_stage=drive, row_stage=row, pair=None, driver=None)


def _ideal(network: Network, n_neurons: int) -> tuple[Coefficients, DriveStage, RowStage]:
    return (
        Coefficients.ideal(network.fhn, n_neurons),
        DriveStage.ideal(network.fhn, n_neurons),
        RowStage.ideal(network.hidden, network.fhn, n_neurons),
    )


# What overflows is refused with its name in the end (`check_finite`).
@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def draw_chip(
    network: Network,
    technology: Technology,
    scales: Scales,
    nominal: tuple[NeuronParts, PairParts, DriverParts],
    targets: tuple[ArrayTarget, ...],
    seed: int | None,
) -> Chip:
    """Draw every component from one integer seed; with None all have their nominal values.

    Tolerances: normal with sigma = tolerance/3, cut at the tolerance, or uniform. Offsets and scale errors: normal
    with the data sheet's typical value as sigma. Each component has a random stream of its own, and spreads scale
    the same draws, so that two tolerance levels share their random numbers. Of the variance, `lot_share` is common
    to all parts of one kind on the chip. Temperature coefficients act on the distance from 300 K.

    Parameters
    ----------
    nominal
        Parts of the neurons, tanh pairs and row drivers.
    targets
        Input and output array before programming.

    Raises
    ------
    ValueError
        If the seed is negative.
    """
    if seed is not None and seed < 0:
        raise ValueError(f"chip seed {seed}: expected a non-negative integer")
    neuron, pair, driver = (
        type(parts)(**_draw_parts(parts, stream, technology, seed))
        for parts, stream in zip(nominal, (_STREAM_NEURON, _STREAM_PAIR, _STREAM_DRIVER), strict=True)
    )
    assert isinstance(neuron, NeuronParts)
    assert isinstance(pair, PairParts)
    assert isinstance(driver, DriverParts)
    arrays = tuple(make_array(target, layer, technology, seed) for layer, target in enumerate(targets))
    return assemble(network, technology, scales, nominal[2], (neuron, pair, driver), arrays, seed)


@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def assemble(
    network: Network,
    technology: Technology,
    scales: Scales,
    nominal_driver: DriverParts,
    parts: tuple[NeuronParts, PairParts, DriverParts],
    arrays: tuple[ArrayLayer, ...],
    seed: int | None,
) -> Chip:
    """Chip made of given components: of the neurons, tanh pairs and row drivers, and of both arrays.

    Parameters
    ----------
    nominal_driver
        Row drivers that the gain of the output stage was chosen for.
    """
    neuron, pair, driver = parts
    fhn, sx = network.fhn, scales.sx
    inverter = circuit.inverter(neuron, technology)
    chip = Chip(
        network,
        tuple(array.weights for array in arrays),
        tuple(array.bias() for array in arrays),
        circuit.coefficients(neuron, scales, technology, fhn.eps),
        stages.drive_stage(pair, fhn, technology, sx),
        stages.row_stage(driver, nominal_driver, inverter, fhn, network.hidden, technology, sx),
        neuron,
        pair,
        driver,
        scales,
        technology,
        arrays,
        arrays[1].bias(recentre=False),
        seed,
    )
    check_finite(technology, _numbers(chip))
    return chip


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


def coefficient_numbers(coefficients: Coefficients) -> list[tuple[str, FloatArray]]:
    """The coefficients by their names, for `check_finite`."""
    named = (("p", coefficients.p), ("q", coefficients.q))
    return [(f"coefficient {letter}{k}", column) for letter, table in named for k, column in enumerate(table.T)]


def _numbers(chip: Chip) -> Iterator[tuple[str, FloatArray]]:
    yield from coefficient_numbers(chip.coefficients)
    yield from ((f"{name} of the tanh pairs", values) for name, values in chip.drive_stage.items())
    yield from ((f"{name} of the row drivers", values) for name, values in chip.row_stage.items())
    for layer, (weights, bias) in enumerate(zip(chip.weights, chip.biases, strict=True)):
        yield f"a weight of layer {layer}", weights
        if bias is not None:
            yield f"a bias of layer {layer}", bias


def make_array(target: ArrayTarget, layer: int, technology: Technology, seed: int | None) -> ArrayLayer:
    """Draw an array's devices and sense amplifiers, and solve its wires.

    A device that was written again (`ArrayTarget.writes`) is the same device with another programming error.

    Parameters
    ----------
    layer
        0: input array, 1: output array.
    seed
        Of the chip; None: nominal devices and amplifiers.
    """
    crossbar = manufacture(
        target.crossbar, technology.array, technology.conditions.temperature,
        _device_draws(target, layer, seed), target.writes,
    )  # fmt: skip
    array = technology.array
    ports = solve_tiled(
        crossbar.conductance, **array.wires.ohms, tile_rows=array.tile_rows, tile_columns=array.tile_columns
    )
    sense = SenseParts(**_draw_parts(target.sense, _STREAM_SENSE[layer], technology, seed))
    made = columns(sense, ports, technology)
    return ArrayLayer(crossbar, ports, sense, made, target.row_volts, target.volts, target.crossbar)


def write_pulses(target: ArrayTarget, layer: int, technology: Technology, seed: int | None) -> int:
    """Pulses that the last round of `ArrayTarget.writes` took; arguments as for `make_array`."""
    assert target.writes is not None
    return pulses(target.crossbar, technology.array, _device_draws(target, layer, seed), target.writes)


def _device_draws(
    target: ArrayTarget, layer: int, seed: int | None
) -> Callable[[Quantity, int, int], FloatArray] | None:
    """What `manufacture` asks of the devices of an array."""
    if seed is None:
        return None

    def draw(quantity: Quantity, side: int, attempt: int) -> FloatArray:
        first = quantity == "programming" and attempt == 0
        key = (_STREAM_ARRAY, layer, side, *(() if first else (_QUANTITIES[quantity], attempt)))
        generator, shape = _generator(seed, key), target.crossbar.g_plus.shape
        if quantity == "fault":
            return generator.random(shape)
        if quantity == "temperature":
            return _within_three_sigma(generator.random(shape))
        return generator.standard_normal(shape)

    return draw


def _draw_parts(nominal: Parts, stream: int, technology: Technology, seed: int | None) -> dict[str, FloatArray]:
    warmer = technology.conditions.temperature - NOMINAL_TEMPERATURE
    values = {}
    for index, (name, value) in enumerate(nominal.items()):
        section, spread, drift, relative = _KINDS[stream, name]
        if seed is not None:
            # One reel holds one value; amplifiers and multipliers of one lot have their errors in common.
            lot = _value_key(float(value[0])) if relative else _name_key(name)
            change = _Draw(technology, section, seed, (stream, index), lot, len(nominal)).deviation
            drifted = warmer * change(drift, _TEMPERATURE) if warmer else 0.0
            made = change(spread)
            value = value * (1.0 + made) * (1.0 + drifted) if relative else value + made + drifted
        if technology.tanh_pair.compensated and (stream, name) in ((_STREAM_PAIR, "rp1"), (_STREAM_PAIR, "rp2")):
            value = value * (1.0 + warmer / NOMINAL_TEMPERATURE)
        values[name] = value
    return values


def _value_key(value: float) -> tuple[int, ...]:
    bits = int(np.float64(value).view(np.uint64))
    return bits >> 32, bits & 0xFFFFFFFF


def _name_key(name: str) -> tuple[int, ...]:
    """Bytes of what is in error (vos1 and vos2: vos; m1_x and m2_x: x)."""
    return tuple(name.removeprefix("m1_").removeprefix("m2_").rstrip("123").encode())


# What spreads each component: section of the technology, spread, drift with temperature, and whether it is relative.
_KINDS: dict[tuple[int, str], tuple[str, str, str, bool]] = {
    (stream, name): kind
    for stream, names, kind in (
        (_STREAM_NEURON, circuit.RESISTORS, ("resistor", "tolerance", "temperature_coefficient", True)),
        (_STREAM_NEURON, circuit.CAPACITORS, ("capacitor", "tolerance", "temperature_coefficient", True)),
        (_STREAM_NEURON, circuit.OFFSETS, ("opamp", "offset_sigma", "offset_drift", False)),
        (_STREAM_NEURON, circuit.MULTIPLIER_SCALES, ("multiplier", "scale_sigma", "", False)),
        (_STREAM_NEURON, circuit.MULTIPLIER_OFFSETS, ("multiplier", "offset_sigma", "", False)),
        (_STREAM_PAIR, stages.PAIR_RESISTORS, ("resistor", "tolerance", "temperature_coefficient", True)),
        (_STREAM_PAIR, ("vos",), ("tanh_pair", "offset_sigma", "", False)),
        (_STREAM_PAIR, stages.MIRRORS, ("tanh_pair", "mirror_sigma", "", False)),
        (_STREAM_PAIR, stages.CURRENT_GAINS, ("tanh_pair", "beta_tolerance", "", True)),
        (_STREAM_DRIVER, stages.DRIVER_RESISTORS, ("resistor", "tolerance", "temperature_coefficient", True)),
        (_STREAM_DRIVER, ("vos",), ("opamp", "offset_sigma", "offset_drift", False)),
        *((stream, SENSE_RESISTORS, ("sense_amplifier", "resistor_tolerance", "", True)) for stream in _STREAM_SENSE),
        *(
            (stream, SENSE_OFFSETS, ("sense_amplifier", "offset_sigma", "offset_drift", False))
            for stream in _STREAM_SENSE
        ),
    )
    for name in names
}
# Section of the technology that each component's spread stands in, by what the component belongs to and its name.
SECTIONS: dict[tuple[str, str], str] = {
    (place, name): kind[0]
    for place, stream in (("neuron", _STREAM_NEURON), ("pair", _STREAM_PAIR), ("driver", _STREAM_DRIVER),
                          ("sense", _STREAM_SENSE[0]))
    for (own, name), kind in _KINDS.items()
    if own == stream
}  # fmt: skip
_LOTS = ("resistor", "capacitor", "opamp", "multiplier", "tanh_pair", "sense_amplifier")
_TAIL = 0.0013498980316300933  # share of a standard normal beyond -3


@dataclass(frozen=True)
class _Draw:
    """Deviations of one component of all neurons."""

    technology: Technology
    section: str
    seed: int
    key: tuple[int, int]
    lot: tuple[int, ...]
    n_neurons: int

    def deviation(self, spread: str, *sub: int) -> FloatArray:
        """Deviations of the quantity whose spread has this name; zero if it has none."""
        section = getattr(self.technology, self.section)
        width = getattr(section, spread) if spread else 0.0
        if width == 0.0:
            return np.zeros(self.n_neurons)
        uniform = _generator(self.seed, (*self.key, *sub)).random(self.n_neurons)
        if section.lot_share > 0.0:
            own = _LOTS.index(self.section)
            lot = _generator(self.seed, (_STREAM_LOT, own, *self.lot, *sub)).standard_normal()
            uniform = ndtr(np.sqrt(1.0 - section.lot_share) * ndtri(uniform) + np.sqrt(section.lot_share) * lot)
        if not spread.endswith(("tolerance", "coefficient")):
            return np.asarray(width * ndtri(uniform))
        if getattr(section, "distribution", "normal") == "uniform":
            return np.asarray(width * (2.0 * uniform - 1.0))
        return width * _within_three_sigma(uniform)


def _within_three_sigma(uniform: FloatArray) -> FloatArray:
    """Normal with sigma 1/3, cut at +-1."""
    return np.asarray(ndtri(_TAIL + (1.0 - 2.0 * _TAIL) * uniform) / 3.0)


def _generator(seed: int, key: tuple[int, ...]) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
