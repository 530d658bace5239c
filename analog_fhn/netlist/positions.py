"""Networks whose activations are held: their circuits, and ngspice's way through all positions of all patches.

A circuit is loaded once and run at one position after another: its row sources are altered to what the position is
given, and the output of its hold stages, at the end of the run, is kept. All voltages are vectors of ngspice's plot
`const`: `values_k` is what may stand at the rows of array k, line by line with its padding, and `held_k` what the hold
stages behind hidden layer k have sampled, position by position.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from analog_fhn.chip import ManufacturedChip
from analog_fhn.errors import InputError
from analog_fhn.hold import HoldParts, window_seconds
from analog_fhn.netlist.chip_lines import END, row_nodes
from analog_fhn.netlist.decks import check_lines
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.ngspice.text import Instance, instance_lines, number
from analog_fhn.patches import Front
from analog_fhn.technology.technology import Technology

ACTIVATIONS = "activations.txt"
TABLES = "voltages.cir"

_WITHIN = 1e-9  # F, of a stage whose hold capacitor is within the part: any, for a droop is given in V/s
_GROUP = 256  # values whose means are looked at together
_TERMS = 16  # of a sum in one line


@dataclass(frozen=True)
class Segment:
    """Hidden layers that are driven at once, by rows that stand still: those up to the next hold stages, or to the end.

    Parameters
    ----------
    layers
        Numbers of the hidden layers; none: the output array alone, behind hold stages.
    output
        Whether the output array is part of it; otherwise the activations of its last layer are held.
    """

    layers: range
    output: bool

    @property
    def array(self) -> int:
        """Number of its first array."""
        return self.layers.start

    @property
    def file(self) -> str:
        """Name of its circuit in the full form."""
        return f"layer_{self.array}.cir" if self.layers else "output.cir"


def segments(network: Network) -> tuple[Segment, ...]:
    """The segments of a network, the first one first."""
    n = len(network.hidden_layers)
    ends = [0, *(k + 1 for k, held in enumerate(network.held) if held)]
    closed = [Segment(range(start, stop), False) for start, stop in pairwise(ends)]
    return (*closed, Segment(range(ends[-1], n), True))


def sampled(protocol: Protocol) -> Protocol:
    """The protocol of a run that ends after the switches of the hold stages have opened."""
    return replace(protocol, control=protocol.control + protocol.interval)


def switch_line(protocol: Protocol, unit: float) -> str:
    """Source of what opens the hold stages' switches, at the end of the control window; `unit` is T in seconds."""
    stop = (protocol.settle + protocol.control) * unit
    return f"Vsample sample 0 PWL(0 1 {number(stop)} 1 {number(stop + 1e-3 * protocol.interval * unit)} 0)"


def hold_lines(chip: ManufacturedChip, layer: int, position: int, channel: int, suffix: str) -> list[str]:
    """Instance of the hold stage of a channel at a position, from node `row` to `held`."""
    index = position * len(chip.hardware[layer].cells) + channel
    parameters = {"c": _capacitor(chip.technology), "iq": chip.technology.hold.quiescent_current}
    for name, values in _of_stages(chip, layer).items():
        parameters[name] = float(values[index])
    nodes = (f"row{suffix}", f"held{suffix}", "sample", "vcc", "vee")
    return instance_lines([Instance(f"Xhold{suffix}", nodes, "sample_hold", parameters)])


def _capacitor(technology: Technology) -> float:
    return technology.hold.capacitor or _WITHIN


def _holds(chip: ManufacturedChip, layer: int) -> HoldParts:
    holds = chip.hardware[layer].holds
    assert holds is not None
    return holds


def _of_stages(chip: ManufacturedChip, layer: int) -> dict[str, FloatArray]:
    """Values of the stages of a layer by the parameters of their subcircuit; without what is 0 in all of them."""
    holds = _holds(chip, layer)
    values = {"vos": holds.offset, "leak": -holds.droop * _capacitor(chip.technology)}
    return {name: numbers for name, numbers in values.items() if np.any(numbers)}


def _window(chip: ManufacturedChip) -> float:
    return window_seconds(chip.network.protocol, chip.time_unit)


# --- what the rows are given --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """Where the values of an array's rows stand in its vector `values_k`.

    Parameters
    ----------
    array
        Number of the array.
    n_values
        Length of the vector, padding included.
    places
        Of all values that are no padding.
    rows
        Place of each row's value at the first position.
    grid, steps
        Numbers of positions, and distance of a row's places from position to position, down and along.
    fill
        Of the padding, of the vector's shape, in the units of the values.
    """

    array: int
    n_values: int
    places: NDArray[np.intp]
    rows: NDArray[np.intp]
    grid: tuple[int, int]
    steps: tuple[int, int]
    fill: FloatArray

    @classmethod
    def of(cls, chip: ManufacturedChip, array: int) -> Rows:
        """Those of an array of a chip."""
        patches = chip.network.fronts[array].patches
        if patches is None:
            every = np.arange(chip.arrays[array].crossbar.n_in)
            return cls(array, len(every), every, every, (1, 1), (0, 0), np.zeros(len(every)))
        lines, places, channels = patches.shape
        (above, below), (left, right) = patches.padding
        shape = lines + above + below, places + left + right, channels
        index = np.arange(np.prod(shape)).reshape(shape)
        fill = np.empty(shape)
        fill[...] = patches.fill
        (tall, wide), (down, along) = patches.size, patches.dilation
        first = index[: (tall - 1) * down + 1 : down, : (wide - 1) * along + 1 : along]
        inside = index[above : above + lines, left : left + places]
        steps = patches.strides[0] * shape[1] * channels, patches.strides[1] * channels
        return cls(array, index.size, inside.ravel(), first.ravel(), patches.positions, steps, fill.ravel())

    @property
    def several(self) -> bool:
        """Whether the array is a convolution's, which is used at one position after another."""
        return self.steps != (0, 0)

    def padded(self, values: FloatArray, fill: float = 0.0) -> FloatArray:
        """Values that are no padding, and `fill` times the fill around them."""
        padded = fill * self.fill
        padded[self.places] = values
        return padded

    def number(self, position: tuple[int, int]) -> int:
        """Number of a position, line by line."""
        return position[0] * self.grid[1] + position[1]

    def at(self, position: tuple[int, int]) -> NDArray[np.intp]:
        """Place of each row's value at a position."""
        return np.asarray(self.rows + position[0] * self.steps[0] + position[1] * self.steps[1])


def means_matrix(front: Front, n_values: int) -> csr_array:
    """The means in front of an array as a matrix, shape (number of means, n_values)."""
    parts = []
    for start in range(0, n_values, _GROUP):
        values = np.zeros((min(_GROUP, n_values - start), n_values))
        values[:, start:][np.diag_indices(len(values))] = 1.0
        parts.append(csr_array(_means(front, values)))
    matrix = csr_array(vstack(parts).T)
    matrix.sort_indices()
    return matrix


def row_volts(
    chip: ManufacturedChip, array: int, values: NDArray[np.floating], position: tuple[int, int]
) -> FloatArray:
    """Voltages of an array's rows at a position, those of the biases not among them (V).

    Parameters
    ----------
    values
        What the layer before has sampled, without offset and droop of its hold stages, or the image; shape (n_values,).
    """
    rows, layer = Rows.of(chip, array), chip.arrays[array]
    handed = _means(chip.network.fronts[array], values[None])[0]
    given = rows.padded(handed, 1.0)[rows.at(position)]
    if array == 0 and chip.input_converters is not None:
        given = chip.input_converters(given[None])[0]
    volts = given * layer.row_volts[0]
    errors = chip.layers[array].row_errors if array < len(chip.layers) else None
    if errors is None:
        return np.asarray(volts)
    return np.asarray(volts + errors[rows.number(position)] * layer.row_volts[0])


# --- ngspice's way through the positions --------------------------------------------------------------------------


def tables(chip: ManufacturedChip, inputs: NDArray[np.floating]) -> str:
    """File with the voltages of the image and the errors of the hold stages, as vectors."""
    lines = [
        f"* Tables for run.cir: the image at the rows of the first array, {number(chip.arrays[0].row_volts[0])} V for",
        "* an input of 1, and the hold stages as they were made: offset (V), leakage (A), change in one window (V).",
        ".control",
    ]
    first = Rows.of(chip, 0)
    if first.several:
        values = _converted(chip, first.padded(_means(chip.network.fronts[0], inputs[None])[0], 1.0))
        lines += _vector("values_0", values * chip.arrays[0].row_volts[0])
    for layer, held in enumerate(chip.network.held):
        if not held:
            continue
        for name, numbers in _of_stages(chip, layer).items():
            lines += _vector(f"{name}_{layer}", numbers)
        front, droop = chip.network.fronts[layer + 1], _holds(chip, layer).droop * _window(chip)
        if np.any(droop) and layer + 1 < len(chip.hardware):
            drift = Rows.of(chip, layer + 1).padded(means_matrix(front, len(droop)) @ droop)
            lines += _vector(f"drift_{layer + 1}", drift)
    return "\n".join([*lines, ".endc", ".end", ""])


def _converted(chip: ManufacturedChip, values: FloatArray) -> FloatArray:
    """Values of an image as the converters of all rows of a convolution give them.

    Raises
    ------
    InputError
        If the converters differ: each value would be another at each position.
    """
    converters, dac = chip.input_converters, chip.technology.dac
    if converters is None or dac is None:
        return values
    if converters.errors is not None:
        raise InputError(
            f"technology {chip.technology.name!r}: dac.code_sigma = {dac.code_sigma:g}: the netlist that runs every "
            "position has one value for all rows; expected dac.code_sigma: 0, or an export of one position"
        )
    return converters.alike(values)


def _means(front: Front, values: NDArray[np.floating]) -> FloatArray:
    """Values of a layer, or an image, as they come through the means in front of an array; shapes (n, ...)."""
    return np.asarray(front.pooled(np.asarray(values, dtype=np.float64)), dtype=np.float64)


def _vector(name: str, values: FloatArray) -> Iterator[str]:
    # To ngspice a vector of one element is a scalar, which has no element 0.
    yield f"let {name} = 0*vector({max(len(values), 2)})"
    for index in np.flatnonzero(values):
        yield f"let {name}[{index}] = {number(values[index])}"


def vectors(chip: ManufacturedChip) -> Iterator[str]:
    """Commands that make what is counted and kept; before any circuit is loaded."""
    yield f"source {TABLES}"
    yield from (f"let {name} = 0" for name in ("line", "place", "position", "at", "one"))
    for layer, held in enumerate(chip.network.held):
        if held:
            yield f"let held_{layer} = 0*vector({max(len(_holds(chip, layer)), 2)})"
            yield f"let values_{layer + 1} = 0*vector({max(Rows.of(chip, layer + 1).n_values, 2)})"
    yield f"echo layer position channel activation > {ACTIVATIONS}"


def altered_rows(chip: ManufacturedChip, array: int) -> Iterator[str]:
    """Commands that put a position's voltages, or those behind hold stages, into the rows of an array."""
    rows = Rows.of(chip, array)
    if array == 0 and not rows.several:
        return
    drifts = array > 0 and array < len(chip.hardware) and np.any(_holds(chip, array - 1).droop)
    for node, place in zip(row_nodes(chip, array), rows.rows, strict=False):
        at = f"const.at + {place}" if rows.several else f"{place}"
        # A window sees what it is given as it is in its middle.
        passed = "(const.position + 0.5)" if rows.several else "0.5"
        drift = f" + const.drift_{array}[{at}]*{passed}" if drifts else ""
        yield f"alter v{node} = const.values_{array}[{at}]{drift}"


def altered_holds(chip: ManufacturedChip, layer: int, channels: Iterable[int], instances: Iterable[str]) -> list[str]:
    """Commands that put a position's hold stages into a circuit, whose instances have these names."""
    n, sources = len(chip.hardware[layer].cells), {"vos": "v.{}.vos", "leak": "i.{}.ileak"}
    return [
        f"alter {sources[name].format(instance)} = const.{name}_{layer}[{n}*const.position + {channel}]"
        for channel, instance in zip(channels, instances, strict=True)
        for name in _of_stages(chip, layer)
    ]


def kept(chip: ManufacturedChip, layer: int, channels: Iterable[int], nodes: Iterable[str]) -> Iterator[str]:
    """Commands that keep what the hold stages of a position have at the end of a run, and write it."""
    n, volts = len(chip.hardware[layer].cells), number(chip.arrays[layer + 1].row_volts[0])
    yield "let last = length(time) - 1"
    for channel, node in zip(channels, nodes, strict=True):
        yield f"let const.held_{layer}[{n}*const.position + {channel}] = v({node})[last]"
        yield f"let const.one = v({node})[last]/{volts}"
        yield f'echo "{layer} $&const.position {channel} $&const.one" >> {ACTIVATIONS}'
    yield "destroy"


def every_position(chip: ManufacturedChip, array: int, words: str, body: Iterable[str]) -> Iterator[str]:
    """The commands of one run, for every position of an array; `words` say what runs."""
    rows = Rows.of(chip, array)
    (lines, places), (down, along) = rows.grid, rows.steps
    yield "let const.position = 0"
    if not rows.several:
        yield f"echo {words}"
        yield from body
        return
    yield "let const.line = 0"
    yield f"while const.line < {lines}"
    yield f'  echo "{words}, line $&const.line of {lines}"'
    yield "  let const.place = 0"
    yield f"  while const.place < {places}"
    yield f"    let const.at = {down}*const.line + {along}*const.place"
    yield from (f"    {line}" for line in body)
    yield "    let const.place = const.place + 1"
    yield "    let const.position = const.position + 1"
    yield "  end"
    yield "  let const.line = const.line + 1"
    yield "end"


def handed_on(chip: ManufacturedChip, layer: int) -> Iterator[str]:
    """Commands that make of what a layer holds, once all of its positions are over, what the next array's rows see."""
    front, rows = chip.network.fronts[layer + 1], Rows.of(chip, layer + 1)
    holds, n = _holds(chip, layer), len(chip.hardware[layer].cells)
    n_positions = len(holds) // n
    yield f"* What hidden layer {layer} holds, averaged where it is pooled: for the rows of array {layer + 1}."
    # Position p waits for the windows of those behind it.
    droop = holds.droop.reshape(n_positions, n) * (np.arange(n_positions)[::-1, None] * _window(chip))
    matrix = means_matrix(front, len(holds))
    drooped = matrix @ droop.ravel()
    if np.any(drooped):
        yield "* The number at the end is what has drooped since each was sampled."
    vector = f"const.values_{layer + 1}"
    for k, place in enumerate(rows.places):
        part = slice(matrix.indptr[k], matrix.indptr[k + 1])
        terms = [f"const.held_{layer}[{i}]" for i in matrix.indices[part]]
        weights = matrix.data[part]
        since = f" {'-' if drooped[k] < 0.0 else '+'} {number(abs(drooped[k]))}" if drooped[k] else ""
        if weights.tolist() == [1.0]:
            yield f"let {vector}[{place}] = {terms[0]}{since}"
            continue
        if np.ptp(weights) > 1e-12 * weights[0]:
            terms = [f"{number(w / weights[0])}*{term}" for w, term in zip(weights, terms, strict=True)]
        yield from _sum(f"{vector}[{place}]", terms, f"/{number(1.0 / weights[0])}{since}")
    # Padding stands at its own voltage from the first to the last window.
    for place in np.setdiff1d(np.flatnonzero(rows.fill), rows.places):
        yield f"let {vector}[{place}] = {number(rows.fill[place] * chip.arrays[layer + 1].row_volts[0])}"


def _sum(name: str, terms: list[str], behind: str) -> Iterator[str]:
    """Commands that add terms, some at a time, and divide them."""
    before = ""
    for start in range(0, len(terms), _TERMS):
        part = before + " + ".join(terms[start : start + _TERMS])
        last = start + _TERMS >= len(terms)
        yield f"let {name} = ({part}){behind}" if last else f"let {name} = {part}"
        before = f"{name} + "


# --- one position -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PositionDeck:
    """A circuit at one position.

    Parameters
    ----------
    file, text
        Its file's name, and what is in it.
    layer, channels
        Hidden layer, and those of its channels that the circuit has.
    nodes
        Outputs of their hold stages.
    """

    file: str
    text: str
    layer: int
    channels: range
    nodes: list[str]


def run_once(chip: ManufacturedChip, decks: Iterable[PositionDeck]) -> str:
    """`run.cir` of circuits at one position, which writes the activations that their stages hold."""
    lines = [
        "* A patch at one position: ngspice -b run.cir",
        ".control",
        "set numdgt=12",
        f"echo layer channel activation > {ACTIVATIONS}",
        "let reached = 0",
    ]
    for deck in decks:
        volts = number(chip.arrays[deck.layer + 1].row_volts[0])
        lines += [f"source {deck.file}", "run", *check_lines(sampled(chip.network.protocol), chip.time_unit)]
        for channel, node in zip(deck.channels, deck.nodes, strict=True):
            lines.append(f"let one = v({node})[length(time) - 1]/{volts}")
            lines.append(f'echo "{deck.layer} {channel} $&one" >> {ACTIVATIONS}')
        lines += ["remcirc", "destroy all"]
    return "\n".join([*lines, *END])


def check_position(network: Network, position: tuple[int, int]) -> tuple[int, ...]:
    """Numbers of the convolutions that have a position.

    Raises
    ------
    InputError
        If there is none.
    """
    fronts = enumerate(network.fronts[:-1])
    grids = {k: front.patches.positions for k, front in fronts if front.patches is not None}
    found = tuple(k for k, (down, along) in grids.items() if 0 <= position[0] < down and 0 <= position[1] < along)
    if not found:
        have = ", ".join(f"layer {k} has {down} x {along}" for k, (down, along) in grids.items())
        raise InputError(
            f"position ({position[0]}, {position[1]}): expected row and column of a patch, from 0; "
            f"{have or 'the network has no convolution'}"
        )
    return found
