"""Codes and a readout for a real chip, from measurements of the bench alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analog_fhn.array.crossbar import Writes
from analog_fhn.design import Design
from analog_fhn.trim.codes import Codes, Lines, TrimHardware, beyond_gain_codes, codes_of_responses, fit_lines
from analog_fhn.trim.finetune import score_per_code, with_bias_that_can_be_made
from analog_fhn.trim.identify import output_weights
from analog_fhn.trim.measurements import ALIKE, Measurements
from analog_fhn.trim.readout import Readout, lay_out, numbered, output_codes, train_readout
from analog_fhn.trim.repair import as_trained, ideal_lines
from analog_fhn.trim.state import TrimState


@dataclass(frozen=True, eq=False)
class Recorded:
    """What measurements ask for.

    Parameters
    ----------
    state
        Codes, and the output array's targets.
    lines
        Measured responses.
    readout
        Trained on the measured activations, or None: none were measured.
    scale
        What its scores are multiplied by on the array.
    beyond
        Neurons whose slope no gain code mends.
    different
        How many different images the readout was trained on.
    """

    state: TrimState
    lines: Lines
    readout: Readout | None = None
    scale: float = 1.0
    beyond: tuple[int, ...] = ()
    different: int = 0


def from_measurements(found: Measurements, design: Design, hardware: TrimHardware) -> Recorded:
    """Codes for every neuron; with activations and labels a readout, with scores too the codes of the outputs.

    The activations are taken as measured after the row codes of an earlier run of this were set: a readout fits the
    chip as it was when they were measured. The scores are taken as measured with all output codes at 0, the middle of
    their range: the output codes are found from there, not from what is set.

    Raises
    ------
    InputError
        If a neuron's response does not fall with its drive, or there are too few images for the output weights.
    """
    network = design.network
    lines = fit_lines(found.drives, found.responses)
    ideal = ideal_lines(network)
    codes = codes_of_responses(lines, ideal, network, hardware)
    beyond = tuple(beyond_gain_codes(lines, ideal, hardware))
    state = TrimState.untouched(design, None, hardware)
    if found.hidden is None or found.labels is None:
        return Recorded(replace(state, codes=codes), lines, beyond=beyond)
    old = design.arrays[1]
    hidden, labels = found.hidden, found.labels
    originals = numbered(hidden, ALIKE)

    def fit(limit: float | None) -> Readout:
        return train_readout(hidden, labels, [as_trained(network)], largest_bias=limit, originals=originals)

    readout = with_bias_that_can_be_made(fit, design, old.crossbar, hardware)
    target, scale = lay_out(readout, design, old.crossbar)
    if found.scores is not None:
        # The offsets as measured; those that the new conductances change are small beside them.
        error = output_weights(found.hidden, found.scores, old.crossbar.weights).bias - readout.bias * scale
        codes = output_codes(codes, error, score_per_code(design, target, hardware), hardware)[0]
    plus, minus = (
        new != had for new, had in ((target.g_plus, old.crossbar.g_plus), (target.g_minus, old.crossbar.g_minus))
    )
    array = design.technology.array
    writes = Writes.none(old.crossbar).then(plus, minus, array.write_tolerance, array.write_pulses)
    written = replace(old, crossbar=target, writes=writes)
    return Recorded(
        replace(state, codes=codes, targets=(state.targets[0], written)), lines, readout, scale, beyond,
        int(originals.max()) + 1,
    )  # fmt: skip


def code_rows(codes: Codes, lines: Lines | None = None) -> list[dict[str, float | int | str]]:
    """Rows of a table of codes: kind, number, code, and the measured line of a neuron."""
    rows: list[dict[str, float | int | str]] = []
    for name in ("gain", "offset", "output"):
        for number, code in enumerate(getattr(codes, name)):
            measured = lines is not None and name != "output"
            rows.append(
                {
                    "code_of": name,
                    "number": number,
                    "code": int(code),
                    "slope": float(lines.slope[number]) if measured and lines is not None else "",
                    "level": float(lines.level[number]) if measured and lines is not None else "",
                }
            )
    return rows
