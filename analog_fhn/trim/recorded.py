"""Codes and a readout for a real chip, from measurements of the bench alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from analog_fhn.array.crossbar import Writes
from analog_fhn.design import Design
from analog_fhn.trim.codes import (
    ResponseLines,
    RowTarget,
    TrimCodes,
    TrimHardware,
    beyond_gain_codes,
    codes_of_responses,
    fit_lines,
)
from analog_fhn.trim.finetune import score_per_code, with_bias_that_can_be_made
from analog_fhn.trim.identify import output_weights
from analog_fhn.trim.measurements import ALIKE, LabelledRows, Measurements
from analog_fhn.trim.readout import LinearReadout, lay_out, numbered, output_codes, train_readout
from analog_fhn.trim.repair import as_trained, ideal_lines
from analog_fhn.trim.row_ends import codes_of_rows
from analog_fhn.trim.state import TrimState


@dataclass(frozen=True, eq=False)
class RecordedReadout:
    """A readout that was trained on measured activations.

    Parameters
    ----------
    readout
        As trained.
    scale
        What its scores are multiplied by on the array.
    n_images, n_different
        How many images, and how many different ones, it was trained on.
    """

    readout: LinearReadout
    scale: float
    n_images: int
    n_different: int


@dataclass(frozen=True, eq=False)
class Recorded:
    """What measurements ask for.

    Parameters
    ----------
    state
        Codes, and the output array's targets.
    lines
        Measured responses of each hidden layer.
    beyond
        Neurons of each hidden layer whose slope no gain code mends.
    trained
        Readout; None: no activations were measured.
    """

    state: TrimState
    lines: tuple[ResponseLines, ...]
    beyond: tuple[tuple[int, ...], ...]
    trained: RecordedReadout | None = None


def from_measurements(measurements: Measurements, design: Design, hardware: TrimHardware) -> Recorded:
    """Codes for every neuron; with activations and labels a readout, with scores too the codes of the outputs.

    Where rows were measured under voltages in the place of the array, the codes trim drive stages and row drivers too.

    The activations are taken as measured after the row codes of an earlier run of this were set: a readout fits the
    chip as it was when they were measured. The scores are taken as measured with all output codes at 0, the middle of
    their range: the output codes are computed from there, not from what is set.

    Raises
    ------
    InputError
        If a neuron's response does not fall with its drive, or there are too few images for the output weights.
    """
    network, ideal = design.network, ideal_lines(design.network)
    state = TrimState.untouched(design, None, hardware)
    codes, lines = state.codes, tuple(fit_lines(layer.drives, layer.responses) for layer in measurements.layers)
    for layer, one in enumerate(lines):
        rows = codes_of_responses(one, ideal, RowTarget.of(network, layer), hardware)
        if measurements.cells is not None:
            rows = codes_of_rows(rows, network, layer, measurements.cells[layer], hardware)
        codes = codes.with_rows(layer, rows)
    beyond = tuple(tuple(beyond_gain_codes(one, ideal, hardware)) for one in lines)
    state = replace(state, codes=codes)
    if measurements.rows is None:
        return Recorded(state, lines, beyond)
    state, trained = _with_readout(state, measurements.rows, design)
    return Recorded(state, lines, beyond, trained)


def _with_readout(state: TrimState, rows: LabelledRows, design: Design) -> tuple[TrimState, RecordedReadout]:
    """The state with a readout that was trained on measured activations, and with output codes if there are scores."""
    old, hardware, codes = design.arrays[-1], state.hardware, state.codes
    originals = numbered(rows.hidden, ALIKE)

    def fit(limit: float | None) -> LinearReadout:
        start = as_trained(design.network)
        return train_readout(rows.hidden, rows.labels, [start], largest_bias=limit, originals=originals)

    readout = with_bias_that_can_be_made(fit, design, old.crossbar, hardware)
    target, scale = lay_out(readout, design, old.crossbar)
    if rows.scores is not None:
        # The offsets as measured; those that the new conductances change are small beside them.
        error = output_weights(rows.hidden, rows.scores, old.crossbar.weights).bias - readout.bias * scale
        codes = output_codes(codes, error, score_per_code(design, target, hardware), hardware)[0]
    plus, minus = target.g_plus != old.crossbar.g_plus, target.g_minus != old.crossbar.g_minus
    array = design.technology.array
    writes = Writes.none(old.crossbar).then(plus, minus, array.write_tolerance, array.write_pulses)
    written = replace(old, crossbar=target, writes=writes)
    state = replace(state, codes=codes, targets=(*state.targets[:-1], written))
    return state, RecordedReadout(readout, scale, len(rows.labels), int(originals.max()) + 1)


def code_rows(
    codes: TrimCodes, lines: Sequence[ResponseLines] | None = None
) -> list[dict[str, float | int | str]]:  # fmt: skip
    """Rows of a table of codes: kind, number, code, the measured line of a neuron, and the hidden layer, from 0."""
    rows: list[dict[str, float | int | str]] = []
    for layer, of_layer in enumerate(codes.rows):
        line = None if lines is None else lines[layer]
        for name, values in (("gain", of_layer.gain), ("offset", of_layer.offset)):
            for number, code in enumerate(values):
                slope, level = ("", "") if line is None else (float(line.slope[number]), float(line.level[number]))
                rows.append(_code_row(name, number, int(code), slope, level, layer))
    return rows + [_code_row("output", number, int(code), "", "", "") for number, code in enumerate(codes.output)]


def _code_row(
    name: str, number: int, code: int, slope: float | str, level: float | str, layer: int | str
) -> dict[str, float | int | str]:  # fmt: skip
    return {"code_of": name, "number": number, "code": code, "slope": slope, "level": level, "layer": layer}
