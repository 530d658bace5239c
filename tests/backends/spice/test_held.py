"""Convolutional networks in plain ngspice, position by position, against the neurons' own equations.

What a low-pass leaves of the oscillation is sampled at the phase that it has: `sampled` follows it, where `classify`
knows its variance alone.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_cnn
from scipy.signal import lfilter

from analog_fhn._support.resources import resource
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.spice.backend import run_exported
from analog_fhn.chip import HiddenLayer, ManufacturedChip
from analog_fhn.draws import RunNoise
from analog_fhn.errors import SimulationError
from analog_fhn.hold import Hold, HoldParts
from analog_fhn.inference import classify, hidden_response
from analog_fhn.netlist.export import Form, export
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.ngspice.batch import run_batch
from analog_fhn.ngspice.text import number
from analog_fhn.patches import Front, Patches

needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is not installed")

STEP = 0.02  # T
LAG = 0.03  # T: 300 ohm and 0.1 uF


def sampled(layer: HiddenLayer, drives: FloatArray, protocol: Protocol) -> FloatArray:
    """What the hold stages of a layer sample, offsets aside: waveforms behind the low-pass and the stages' own lag."""
    whole = replace(protocol, settle=0.0, control=protocol.settle + protocol.control, interval=STEP)
    samples = Direct().respond(layer.cells, drives, whole, samples=True).samples
    assert samples is not None
    rows = layer.cells.row_stage
    values = np.asarray(rows.gain * samples.astype(np.float64) + rows.offset)
    for k, tau in enumerate(rows.time_constant):
        for share in (np.exp(-STEP / tau), np.exp(-STEP / LAG)):
            values[..., k] = lfilter([1.0 - share], [1.0, -share], values[..., k], axis=0)
    return np.asarray(values[-1])


def expected(chip: ManufacturedChip, image: FloatArray) -> tuple[list[FloatArray], FloatArray]:
    """Samples of each held layer with their offsets, shape (n_positions, n), and the scores."""
    values = image[None]
    held: list[FloatArray] = []
    for number_of, layer in enumerate(chip.layers):
        drives = layer.drives(layer.front.rows(values))
        if not chip.network.held[number_of]:
            means = Direct().respond(layer.cells, drives, chip.network.protocol).mean
            weights, shift = chip.scores_of_rows(True)
            return held, (means @ weights + shift)[0]
        now = sampled(layer, drives, chip.network.protocol)
        assert layer.hold is not None
        held.append(now + layer.hold.offset)
        values = now.reshape(1, -1)
    rows = chip.output.front.rows(values)
    return held, (rows @ chip.output.weights + chip.output.bias)[0]


def activations(folder: Path, layer: int, n: int) -> FloatArray:
    """Held activations that a run wrote, shape (n_positions, n)."""
    table = np.loadtxt(folder / "activations.txt", skiprows=1)
    mine = table[table[:, 0] == layer]
    found = np.full((len(mine) // n, n), np.nan)
    found[mine[:, 1].astype(int), mine[:, 2].astype(int)] = mine[:, 3]
    return found


CASES: dict[str, tuple[str, bool, bool]] = {
    "relu, one convolution": ("relu", False, False),
    "sigmoid, two convolutions": ("sigmoid", True, False),
    "relu, two convolutions and a dense layer": ("relu", True, True),
}


@needs_ngspice
@pytest.mark.parametrize("form", ["full", "reduced"])
@pytest.mark.parametrize("case", CASES)
def test_every_position_is_what_the_equations_say(case: str, form: Form, tmp_path: Path) -> None:
    unit, two, hidden = CASES[case]
    chip = small_cnn.chip(small_cnn.network(unit, two=two, hidden=hidden))
    export(chip, small_cnn.image(), tmp_path, {}, form=form)
    scores = run_exported(tmp_path)
    held, wanted = expected(chip, small_cnn.image())
    for layer, one in enumerate(held):
        found = activations(tmp_path, layer, 2)
        assert found.shape == one.shape == (chip.layers[layer].front.n_positions, 2)
        # Spikes of ngspice come 0.05 % late, after 20 of them by a hundredth of a period; the ripple's sigma is 2 %.
        ceiling = chip.network.ceilings[layer]
        assert np.abs(found - one).max() < 6e-3 * ceiling
        assert np.std(found - one) < 3e-3 * ceiling
    assert np.abs(scores - wanted).max() < 0.01 * np.ptp(wanted)


@needs_ngspice
def test_scores_are_those_of_classify_but_for_the_sampled_ripple(tmp_path: Path) -> None:
    chip = small_cnn.chip(small_cnn.network("sigmoid"))
    _, (every,) = hidden_response(chip, small_cnn.image()[None], Direct(), sampled=RunNoise.none(1))
    export(chip, small_cnn.image(), tmp_path, {}, form="reduced")
    scores, layer = run_exported(tmp_path), chip.layers[0]
    assert every.values is not None
    assert layer.hold is not None
    difference = activations(tmp_path, 0, 2) - layer.hold.offset - every.values.reshape(-1, 2)
    sigma = np.sqrt(layer.cells.ripple(every.means))
    spiking = sigma > 0.0
    assert 8 < np.count_nonzero(spiking) < 32
    # phases at the end of the window are all but the same for neurons of one rate: no more than a bound holds
    assert np.abs(difference[spiking]).max() < 2.5 * sigma.max()
    assert np.abs(difference[~spiking]).max() < 0.01
    rows = chip.output.front.rows(every.values)
    wanted = (rows @ chip.output.weights + chip.output.bias)[0]
    ripple = np.sqrt(chip.output.front.rows((sigma**2).reshape(1, -1)) / 4.0 @ chip.output.weights**2)[0]
    assert np.abs(scores - wanted).max() < 3.0 * ripple.max()
    assert np.argmax(scores) == classify(chip, small_cnn.IMAGES[:1], table=33).predictions[0]


@needs_ngspice
@pytest.mark.parametrize("form", ["full", "reduced"])
def test_a_position_by_itself_is_that_of_the_whole_network(form: Form, tmp_path: Path) -> None:
    chip = small_cnn.chip(small_cnn.network("sigmoid", two=True))
    export(chip, small_cnn.image(), tmp_path / "whole", {}, form=form)
    run_exported(tmp_path / "whole")
    first = activations(tmp_path / "whole", 0, 2)
    holds = chip.layers[0].hold
    assert holds is not None
    values = (first - holds.offset).ravel()  # as sampled: without offset and droop
    position = (0, 1)
    export(chip, small_cnn.image(), tmp_path / "one", {}, form=form, position=position, held=[values])
    found = run_exported(tmp_path / "one")
    again = [first[1], activations(tmp_path / "whole", 1, 2)[1]]
    np.testing.assert_allclose(found, np.concatenate(again), rtol=0, atol=2e-5)


@needs_ngspice
def test_a_failed_run_of_a_position_has_no_activations(tmp_path: Path) -> None:
    export(small_cnn.chip(small_cnn.network()), small_cnn.image(), tmp_path, {}, position=(1, 1))
    deck = (tmp_path / "layer_0.cir").read_text()
    spoilt = re.sub(r"^(\.tran \S+) \S+", r"\1 0.05", deck, flags=re.MULTILINE)
    assert spoilt != deck
    (tmp_path / "layer_0.cir").write_text(spoilt)
    with pytest.raises(SimulationError, match="the transient stopped early"):
        run_exported(tmp_path)


@needs_ngspice
def test_hold_stages_of_the_netlist_do_what_hold_says(tmp_path: Path) -> None:
    """Three positions of a layer, one after another, read in the middle of each window of the next layer."""
    window, capacitor, volts = 1e-3, 1e-8, 0.5  # s, F, V of an activation of 1
    rng = np.random.default_rng(0)
    parts = HoldParts(rng.normal(0.0, 5e-3, 3), rng.normal(0.0, 10.0, 3))
    values = np.array([0.3, 0.9, 0.6])
    hold = Hold.of(parts, 0.0, volts, window, 1)
    errors = hold.errors(Front((), Patches((3, 1, 1), (2, 1))), driven=True)
    assert errors is not None
    lines = ["* hold stages", ".include sample_hold.lib", "Vcc vcc 0 15", "Vee vee 0 -15", ".options reltol=1e-7"]
    for k, value in enumerate(values):
        opens = number(window * (k + 1))
        lines += [
            f"V{k} row{k} 0 {number(volts * value)}",
            f"Vs{k} sample{k} 0 PWL(0 1 {opens} 1 {number(window * (k + 1) + 1e-9)} 0)",
            f"X{k} row{k} held{k} sample{k} vcc vee sample_hold PARAMS: c={number(capacitor)} "
            # through 300 ohm the leakage would drop 30 uV
            f"vos={number(parts.offset[k])} leak={number(-parts.droop[k] * capacitor)} ron=1",
        ]
    lines.append(".tran 1e-6 6e-3 0 1e-6 uic")
    for q in range(2):
        middle = number(window * (3 + q + 0.5))
        lines += [f".meas tran at{q}_{k} FIND v(held{k}) AT={middle}" for k in (q, q + 1)]
    (tmp_path / "bench.cir").write_text("\n".join([*lines, ".end", ""]))
    shutil.copyfile(resource("netlists", "sample_hold.lib"), tmp_path / "sample_hold.lib")
    said = run_batch(tmp_path / "bench.cir", 60.0)
    for q in range(2):
        for row, k in enumerate((q, q + 1)):
            (found,) = re.findall(rf"^at{q}_{k} += +(\S+)", said, re.MULTILINE)
            assert float(found) / volts == pytest.approx(values[k] + errors[q, row], abs=2e-5)
