"""Converters in front of the input array: codes, errors, statistics; in classifying, sweeps, checks and decks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

from analog_fhn.array.converters import Converters
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import Table
from analog_fhn.checks.array import check_arrays
from analog_fhn.chip import ManufacturedChip
from analog_fhn.data.sparse_images import Pixels
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import classify, judge
from analog_fhn.netlist.export import export
from analog_fhn.netlist.positions import row_volts
from analog_fhn.network import Convolution, Dense, Network
from analog_fhn.neuron import Protocol
from analog_fhn.patches import Patches
from analog_fhn.technology.sections import Dac
from analog_fhn.technology.technology import Technology

SHORT = Protocol(settle=5.0, control=20.0)
IMAGES = np.random.default_rng(5).random((40, 12))


def network(**options: Any) -> Network:
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(12, 5)), rng.normal(size=(5, 3))
    return Network.of_weights(weights, (rng.normal(size=5), np.zeros(3)), protocol=SHORT, **options)


def convolutional() -> Network:
    rng = np.random.default_rng(4)
    first = Convolution.of_kernel(rng.normal(size=(2, 2, 1, 2)), Patches((4, 3, 1), (2, 2)), np.zeros(2), "sigmoid")
    return Network((first, Dense(rng.normal(size=(first.n_values, 3)), np.zeros(3))), protocol=SHORT)


def chip(net: Network, seed: int | None = 1, **dac: Any) -> ManufacturedChip:
    technology = Technology.load("discrete").with_values({"dac": dac or None})
    return Design(net, technology).chip(seed)


@pytest.mark.parametrize("bits", [1, 3, 10])
def test_inputs_become_the_nearest_code_and_beyond_the_range_the_last(bits: int) -> None:
    values = np.random.default_rng(0).uniform(-0.7, 1.7, (50, 40))
    made = Converters.of(Dac(bits=bits, range=(-0.5, 1.5)), (0.0, 1.0), 40, 1)(values)
    step = 2.0 / (2**bits - 1)
    codes = (made + 0.5) / step
    np.testing.assert_allclose(codes, codes.round(), atol=1e-9)
    inside = (values >= -0.5) & (values <= 1.5)
    assert np.abs(made - values)[inside].max() <= 0.5 * step * (1 + 1e-9)
    np.testing.assert_allclose(made[~inside], np.where(values[~inside] < 0.5, -0.5, 1.5))


def test_rounding_is_uniform_over_a_step() -> None:
    values = np.random.default_rng(1).random((2000, 12))
    error = (Converters.of(Dac(bits=6), (0.0, 1.0), 12, 1)(values) - values) * 63
    assert kstest(error.ravel(), "uniform", args=(-0.5, 1.0)).pvalue > 1e-4


def test_the_bow_is_in_the_middle_and_the_ends_are_exact() -> None:
    made = Converters.of(Dac(bits=8, bow=2.0), (0.0, 1.0), 3, 1)(np.array([[0.0, 51 / 255, 1.0]]))
    np.testing.assert_allclose(made[0] * 255, [0.0, 51 + 4 * 2.0 * 0.2 * 0.8, 255.0], rtol=1e-12)


def test_codes_of_each_converter_deviate_by_the_sigma_and_stay_the_same() -> None:
    dac = Dac(bits=8, code_sigma=0.3)
    converters = Converters.of(dac, (0.0, 1.0), 400, 7)
    ideal = Converters.of(dac, (0.0, 1.0), 400, None)
    codes = np.repeat(np.arange(256)[:, None] / 255, 400, axis=1)
    deviations = (converters(codes) - ideal(codes)) * 255
    n = deviations.size
    assert abs(deviations.mean()) < 4 * 0.3 / np.sqrt(n)
    assert abs(deviations.std() / 0.3 - 1) < 4 / np.sqrt(2 * n)
    assert abs(np.corrcoef(deviations[:, 0], deviations[:, 1])[0, 1]) < 0.25  # of two converters
    np.testing.assert_array_equal(Converters.of(dac, (0.0, 1.0), 400, 7)(codes), converters(codes))
    assert np.any(Converters.of(dac, (0.0, 1.0), 400, 8)(codes) != converters(codes))


@pytest.mark.parametrize("dac", [{"bits": 3}, {"bits": 4, "bow": 1.0, "code_sigma": 0.2}])
@pytest.mark.parametrize("table", [None, 33])
def test_images_are_classified_as_converted_ones_are_without_converters(dac: dict[str, Any], table: int | None) -> None:
    one, plain = chip(network(), **dac), chip(network())
    assert one.input_converters is not None
    found = classify(one, IMAGES, table=table).scores
    expected = classify(plain, one.input_converters(IMAGES), table=table).scores
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(found - classify(plain, IMAGES, table=table).scores).max() > 0.01


def test_ideal_cells_keep_them_and_the_group_switches_them_alone() -> None:
    technology = Technology.load("discrete").with_values({"dac": {"bits": 3}})
    assert technology.with_errors([]).dac is None
    assert technology.with_errors(["dac"]).dac == Dac(bits=3)
    one, plain = chip(network(), bits=3), chip(network())
    for array, other in zip(one.arrays, plain.arrays, strict=True):
        np.testing.assert_array_equal(array.crossbar.conductance, other.crossbar.conductance)
    table = Table(Direct(), 33)
    assert one.input_converters is not None
    found = classify(one.with_ideal_cells(), IMAGES, backend=table).scores
    expected = classify(plain.with_ideal_cells(), one.input_converters(IMAGES), backend=table).scores
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_sweep_with_its_sparse_images_sees_the_same() -> None:
    images = IMAGES * (np.random.default_rng(8).random(IMAGES.shape) < 0.2)
    one = chip(network(), bits=3, bow=1.0, code_sigma=0.2)
    table, pixels = Table(Direct(), 33), Pixels.of(images)
    assert pixels is not None
    (swept,) = judge(one, images, [("mean", True)], table, pixels=pixels, window=False)
    np.testing.assert_array_equal(swept.scores, classify(one, images, backend=table).scores)


def test_rows_of_a_convolution_have_one_converter_each() -> None:
    one = chip(convolutional(), bits=4, code_sigma=0.3)
    assert one.input_converters is not None
    assert one.input_converters.errors is not None
    assert one.input_converters.errors.shape == (4, 16)
    rows = one.network.fronts[0].rows(IMAGES)
    np.testing.assert_array_equal(one.layers[0].front.rows(IMAGES), one.input_converters(rows))
    volts = row_volts(one, 0, IMAGES[0], (1, 1))
    expected = one.layers[0].front.rows(IMAGES[:1])[3] * one.arrays[0].row_volts[0]
    np.testing.assert_allclose(volts, expected, rtol=1e-12)


# --- checks, decks, refusals ------------------------------------------------------------------------------------------


def findings(**dac: Any) -> list[str]:
    design = Design(network(), Technology.load("discrete").with_values({"dac": dac}))
    return [one.message for one in check_arrays(design) if one.part == "input converters"]


def test_coarse_steps_and_narrow_ranges_are_findings() -> None:
    assert findings(bits=10) == []
    (coarse,) = findings(bits=1)
    assert "steps of 1 (dac.bits = 1)" in coarse
    (bow,) = findings(bits=8, bow=300.0)
    assert "dac.bits = 8" in bow
    (narrow,) = findings(bits=10, range=[0.25, 1.0])
    assert "0.25 to 1 (dac.range), leaves out 25 %" in narrow


def test_the_step_in_the_finding_is_what_rounding_does_to_the_curves_argument() -> None:
    one = network()
    design = Design(one, Technology.load("discrete").with_values({"dac": {"bits": 1}}))
    (finding,) = (f for f in check_arrays(design) if f.part == "input converters")
    images = np.random.default_rng(6).random((4000, 12))
    converters = Converters.of(Dac(bits=1), one.input_range, 12, None)
    error = (converters(images) - images) @ one.dense[0].weights
    assert finding.value == pytest.approx(float(one.fhn.slope * np.sqrt(np.mean(error**2))), rel=0.05)


@pytest.mark.parametrize("form", ["full", "reduced"])
def test_exported_rows_have_the_converted_values(form: Any, tmp_path: Path) -> None:
    one = chip(network(), bits=3, code_sigma=0.2)
    assert one.input_converters is not None
    export(one, IMAGES[0], tmp_path / "converted", form=form)
    export(chip(network()), one.input_converters(IMAGES[:1])[0], tmp_path / "plain", form=form)
    file = "chip.cir" if form == "full" else "cell_000.cir"
    assert (tmp_path / "converted" / file).read_text() == (tmp_path / "plain" / file).read_text()
    assert "digital-to-analog converter" in (tmp_path / "converted" / "bom.csv").read_text()


def test_a_convolutions_deck_takes_converters_that_are_alike_and_refuses_others(tmp_path: Path) -> None:
    net = convolutional()
    alike = chip(net, bits=3, bow=1.0)
    export(alike, IMAGES[0], tmp_path / "converted", form="full")
    assert alike.input_converters is not None
    export(chip(net), alike.input_converters.alike(IMAGES[0]), tmp_path / "plain", form="full")
    file = "voltages.cir"
    assert (tmp_path / "converted" / file).read_text() == (tmp_path / "plain" / file).read_text()
    with pytest.raises(
        InputError, match=r"dac\.code_sigma = 0\.2: .* expected dac\.code_sigma: 0, or an export of one"
    ):
        export(chip(net, bits=3, code_sigma=0.2), IMAGES[0], tmp_path / "refused", form="full")


@pytest.mark.parametrize(
    ("dac", "message"),
    [
        ({"bits": 0}, "dac.bits = 0: expected 1 to 24"),
        ({"range": [0.0, 1.0]}, "key 'dac.bits' is missing"),
        ({"bits": 8, "range": [1.0, 0.0]}, "range = [1.0, 0.0]: expected two rising numbers"),
        ({"bits": 8, "steps": 3}, "unknown key 'dac.steps'"),
        ({"bits": 14, "code_sigma": 0.5}, "bits = 14 with code_sigma = 0.5: expected at most 12 bits"),
    ],
)
def test_refused_values(dac: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        Technology.load("discrete").with_values({"dac": dac})
    assert message in str(refusal.value)
