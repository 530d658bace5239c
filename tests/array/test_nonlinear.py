"""Devices with curved characteristics: a sparse Newton solver, ngspice, closed forms; in a chip and its decks."""

from __future__ import annotations

import itertools
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import spsolve

from analog_fhn.array import nonlinear
from analog_fhn.array.nonlinear import NonlinearArray
from analog_fhn.array.wires import _nodal
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.spice.backend import run_exported
from analog_fhn.backends.table.backend import Table
from analog_fhn.checks.array import check_arrays
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError, SimulationError
from analog_fhn.inference import _simulate, classify, classify_all, hidden_response, scores_of_means
from analog_fhn.netlist.export import default_form, export
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.technology.device import Device
from analog_fhn.technology.technology import Technology
from analog_fhn.technology.wires import Wires

V_READ = 0.3


def devices(n_in: int, n_out: int) -> tuple[FloatArray, FloatArray]:
    """1 to 100 uS with a device missing, and V0 from 0.1 to 1 V."""
    rng = np.random.default_rng(0)
    g = rng.uniform(1e-6, 100e-6, (n_in, n_out))
    g[0, 0] = 0.0
    return g, rng.uniform(0.1, 1.0, g.shape)


def rows(n: int, n_in: int) -> FloatArray:
    """Voltages of both signs, some beyond the read voltage."""
    return np.random.default_rng(1).uniform(-0.3, 0.5, (n, n_in))


def by_sparse_newton(g: FloatArray, v0: FloatArray, wires: Wires, volts: FloatArray) -> FloatArray:
    """Currents by nodal analysis of all nodes with a general sparse solver, Newton's method from 0 V."""
    node, ends, inner, laplacian = _nodal(np.zeros_like(g), wires)
    word, bit = node.reshape(2, g.size)
    scale = (g * V_READ / np.sinh(V_READ / v0)).ravel()
    v = np.zeros(laplacian.shape[0])
    v[ends] = np.concatenate([volts, np.zeros(g.shape[1])])

    def outflow() -> FloatArray:
        current = scale * np.sinh((v[word] - v[bit]) / v0.ravel())
        return np.asarray(laplacian @ v + np.bincount(word, current, len(v)) - np.bincount(bit, current, len(v)))

    for _ in range(60 if inner.size else 0):
        slope = scale / v0.ravel() * np.cosh((v[word] - v[bit]) / v0.ravel())
        values = np.concatenate([slope, slope, -slope, -slope])
        places = np.concatenate([word, bit, word, bit]), np.concatenate([word, bit, bit, word])
        jacobian = csc_array(laplacian + coo_array((values, places), shape=laplacian.shape))
        step = np.atleast_1d(spsolve(csc_array(jacobian[inner][:, inner]), outflow()[inner]))
        v[inner] -= step
        if np.abs(step).max() < 1e-14:
            break
    return -outflow()[ends[len(volts) :]]


@pytest.mark.parametrize("switched", list(itertools.product([0.0, 1.0], repeat=4)))
def test_wires_as_a_general_solver_has_them(switched: tuple[float, ...]) -> None:
    for shape, ohms in (((5, 7), 300.0), ((9, 4), 3000.0), ((1, 3), 1e4), ((3, 1), 1.0)):
        g, v0 = devices(*shape)
        wires, volts = Wires(*(ohms * one for one in switched)), rows(2, shape[0])
        found = NonlinearArray(g, v0, V_READ, wires).currents(volts)
        for current, row in zip(found, volts, strict=True):
            expected = by_sparse_newton(g, v0, wires, row)
            np.testing.assert_allclose(current, expected, rtol=1e-8, atol=1e-9 * np.abs(expected).max())


def test_strong_curvature_with_great_losses_takes_newton(monkeypatch: pytest.MonkeyPatch) -> None:
    g, _ = devices(6, 5)
    v0, wires, volts = np.full(g.shape, V_READ / 15.0), Wires(3e3, 2e3, 1e4, 1e4), rows(3, 6)
    found = NonlinearArray(g, v0, V_READ, wires).currents(volts)
    for current, row in zip(found, volts, strict=True):
        np.testing.assert_allclose(current, by_sparse_newton(g, v0, wires, row), rtol=1e-7)
    monkeypatch.setattr(nonlinear, "_NEWTONS", 1)
    with pytest.raises(SimulationError, match=r"6 x 5 devices: their voltages changed by .* of 1 steps of Newton"):
        NonlinearArray(g, v0, V_READ, wires).currents(volts)


def test_tiles_add_up() -> None:
    g, v0 = devices(11, 6)
    wires, volts = Wires(50.0, 20.0, 100.0, 70.0), rows(3, 11)
    expected = np.zeros((3, 6))
    for down, across in itertools.product((slice(0, 8), slice(8, 11)), (slice(0, 4), slice(4, 6))):
        part = NonlinearArray(g[down, across], v0[down, across], V_READ, wires)
        expected[:, across] += part.currents(volts[:, down])
    found = NonlinearArray(g, v0, V_READ, wires, 8, 4).currents(volts)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("smallest", [0.015, 0.1, 3.0])
def test_without_wires_each_device_stands_at_its_rows_voltage(smallest: float) -> None:
    g, v0 = devices(20, 8)
    volts, v0 = rows(5, 20), np.maximum(v0 * smallest, smallest)
    law = np.sinh(volts[:, :, None] / v0) * (g * V_READ / np.sinh(V_READ / v0))
    np.testing.assert_allclose(NonlinearArray(g, v0, V_READ, Wires()).currents(volts), law.sum(axis=1), rtol=1e-12)
    alike = np.full(g.shape, smallest)
    law = np.sinh(volts[:, :, None] / smallest) * (g * V_READ / np.sinh(V_READ / smallest))
    np.testing.assert_allclose(NonlinearArray(g, alike, V_READ, Wires()).currents(volts), law.sum(axis=1), rtol=1e-12)


def test_ngspice_with_wires(tmp_path: Path) -> None:
    g, v0 = devices(4, 3)
    wires, volts = Wires(200.0, 150.0, 400.0, 300.0), rows(1, 4)[0]
    lines = ["* nonlinear array", *(f"Vrow{i} d{i} 0 {v!r}" for i, v in enumerate(map(float, volts)))]
    lines += [f"Vout{j} s{j} 0 0" for j in range(3)]
    for i, j in itertools.product(range(4), range(3)):
        before, first = (f"w{i}_{j - 1}", wires.word) if j else (f"d{i}", wires.driver + wires.word)
        behind, last = (f"b{i + 1}_{j}", wires.bit) if i < 3 else (f"s{j}", wires.bit + wires.sense)
        scale = float(g[i, j] * V_READ / np.sinh(V_READ / v0[i, j]))
        lines += [f"Rw{i}_{j} {before} w{i}_{j} {first!r}", f"Rb{i}_{j} b{i}_{j} {behind} {last!r}"]
        lines.append(f"Bd{i}_{j} w{i}_{j} b{i}_{j} I={scale!r}*sinh(v(w{i}_{j},b{i}_{j})/{float(v0[i, j])!r})")
    prints = [f"print vout{j}#branch" for j in range(3)]
    options = ".options reltol=1e-9 abstol=1e-18 vntol=1e-12 gmin=1e-20 numdgt=12"
    deck = [*lines, options, ".control", "set numdgt=12", "op", *prints, ".endc", ".end"]
    (tmp_path / "deck.cir").write_text("\n".join(deck) + "\n")
    run = subprocess.run(["ngspice", "-b", "deck.cir"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    values = [float(line.split("=")[1]) for line in run.stdout.splitlines() if "#branch =" in line]
    found = NonlinearArray(g, v0, V_READ, wires).currents(volts[None])[0]
    np.testing.assert_allclose(values, found, rtol=1e-6)


# --- in a chip --------------------------------------------------------------------------------------------------------

SHORT = Protocol(settle=10.0, control=30.0)
CURVED = {"array.nonlinearity": 0.4, "array.levels": None}


def network(*sizes: int, **options: Any) -> Network:
    rng = np.random.default_rng(3)
    shapes = list(itertools.pairwise(sizes))
    weights = tuple(rng.normal(size=shape) / np.sqrt(shape[0]) for shape in shapes)
    return Network.of_weights(weights, tuple(rng.normal(size=n) for _, n in shapes), protocol=SHORT, **options)


def chip(net: Network, seed: int | None = 1, **values: object) -> ManufacturedChip:
    return Design(net, Technology.load("discrete").with_values({**CURVED, **values})).chip(seed)


IMAGES = np.random.default_rng(5).random((30, 12))


@pytest.mark.parametrize("wires", [{}, {"array.wires.word": 20.0, "array.wires.driver": 50.0, "array.wires.bit": 20.0}])
def test_pre_activations_are_those_of_the_devices_currents(wires: dict[str, object]) -> None:
    one = chip(network(12, 5, 3), **wires)
    array = one.arrays[0]
    for image, z in zip(IMAGES, one.layers[0].pre_activations(IMAGES), strict=True):
        currents = array.column_currents(array.row_voltages(image))
        outputs = array.columns.plus * currents[0::2] + array.columns.minus * currents[1::2] + array.columns.offset
        np.testing.assert_allclose(z, outputs / array.volts[0], rtol=1e-9, atol=1e-9)


def test_at_the_read_voltage_devices_are_as_programmed_and_ohmic_ones_are_the_limit() -> None:
    net, edges = network(12, 5, 3), np.random.default_rng(2).integers(0, 2, (9, 12)).astype(float)
    ohmic = chip(net, **{"array.nonlinearity": None}).layers[0]
    assert ohmic.excess is None
    np.testing.assert_allclose(
        chip(net).layers[0].pre_activations(edges), ohmic.pre_activations(edges), rtol=1e-9, atol=1e-12
    )
    straight = chip(net, **{"array.nonlinearity": 1000.0}).layers[0]
    np.testing.assert_allclose(straight.pre_activations(IMAGES), ohmic.pre_activations(IMAGES), rtol=1e-5, atol=1e-6)
    assert np.abs(chip(net).layers[0].pre_activations(IMAGES) - ohmic.pre_activations(IMAGES)).max() > 0.05


def test_the_group_switches_it_alone() -> None:
    technology = Technology.load("discrete").with_values(CURVED)
    assert technology.with_errors([]).array.nonlinearity is None
    assert technology.with_errors(["nonlinearity"]).array.nonlinearity == 0.4
    net = network(12, 5, 3)
    curved, ohmic = Design(net, technology).chip(7), chip(net, 7, **{"array.nonlinearity": None})
    for one, other in zip(curved.arrays, ohmic.arrays, strict=True):
        np.testing.assert_array_equal(one.crossbar.conductance, other.crossbar.conductance)
        np.testing.assert_array_equal(one.columns.gain, other.columns.gain)


def test_scores_are_means_of_what_the_output_array_makes_of_the_rows_at_each_instant() -> None:
    one = chip(network(12, 5, 3))
    scores = classify(one, IMAGES[:4]).scores
    response, _ = hidden_response(one, IMAGES[:4], Direct(), samples=True)
    assert response.samples is not None
    gain, offset = one.last.cells.row_stage.of(True)
    array = one.output_array
    for k in range(4):
        inputs = gain * response.samples[:, k] + offset
        volts = np.stack([array.row_voltages(x) for x in inputs[::50]])
        assert array.nonlinear is not None
        outputs = array.columns.outputs(array.nonlinear.currents(volts)) + array.columns.offset
        rows_of = inputs[::50] @ one.output.weights + one.output.bias + one.output.excess_of(inputs[::50])
        np.testing.assert_allclose(rows_of, outputs / array.volts[0], rtol=1e-9)
        whole = inputs @ one.output.weights + one.output.bias + one.output.excess_of(inputs)
        np.testing.assert_allclose(scores[k], whole.mean(axis=0), rtol=1e-5, atol=1e-5)
    straight = classify(chip(network(12, 5, 3), **{"array.nonlinearity": None}), IMAGES[:4]).scores
    assert np.abs(scores - straight).max() > 0.01


def test_the_vote_is_of_the_same_outputs() -> None:
    one = chip(network(12, 5, 3))
    mean, voted = classify_all(one, IMAGES[:4], [("mean", True), ("vote", False)])
    assert np.isfinite(mean.scores).all()
    np.testing.assert_allclose(voted.scores.sum(axis=1), 1.0)


def test_a_table_of_responses_agrees_with_simulated_images() -> None:
    one = chip(network(12, 5, 3), **{"array.wires.word": 20.0, "array.wires.bit": 20.0})
    table = classify(one, IMAGES, table=65).scores
    np.testing.assert_allclose(table, classify(one, IMAGES).scores, atol=0.05)


def test_means_alone_serve_arrays_in_front_of_cells_and_refuse_the_output_array() -> None:
    one = chip(network(12, 5, 4, 3))
    table = Table(Direct(), 65)
    means = [table.means(layer.cells, SHORT) for layer in one.layers]
    with pytest.raises(InputError, match="output array whose devices are not ohmic"):
        scores_of_means(one, means, IMAGES, [True])
    straight = replace(one, output=replace(one.output, excess=None, raw_excess=None))
    found = scores_of_means(straight, means, IMAGES, [True])[0]
    slow = _simulate(straight, IMAGES, [("mean", True)], table, None, None)[0][0]
    np.testing.assert_allclose(found, slow, atol=2e-3)


def test_rows_of_a_chip_of_transistors_behind_a_layer_are_timed() -> None:
    technology = Technology.load("silicon").with_values({"array.nonlinearity": 0.4})
    one = Design(network(12, 5, 3), technology).chip(1)
    assert one.layers[0].excess is not None
    assert one.output.excess is None


# --- technologies, devices and decks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"array.nonlinearity": -1.0}, "array.nonlinearity = -1.0: expected 0.001 to 1000 V"),
        ({"array.nonlinearity": 0.01}, "nonlinearity = 0.01: expected at least a 20th of read_voltage (1 V)"),
        ({"array.nonlinearity": "device"}, "device"),
        ({"array.nonlinearity": "device", "array.device": "metal_film"}, "has no current-voltage characteristic"),
    ],
)
def test_refused_values(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        Technology.load("discrete").with_values(values)
    assert message in str(refusal.value)


def test_the_preset_departs_from_ohmic_as_its_source_says() -> None:
    """CrossSim's cubic fit: 15 to 23 % at 62.5 uS and 3 % at 110 uS at 0.5 V."""
    x = 0.5 / Device.load("hfo2_rram").sinh_volts(np.array([62.5e-6, 110e-6]), read_voltage=0.5)
    np.testing.assert_allclose(np.sinh(x) / x - 1.0, [0.19, 0.03], atol=0.01)


def test_the_reduced_form_is_refused_and_not_the_default(tmp_path: Path) -> None:
    one = chip(network(12, 5, 3))
    assert default_form(one) == "full"
    with pytest.raises(InputError, match=r"array\.nonlinearity = 0\.4: the reduced form .* expected the form 'full'"):
        export(one, IMAGES[0], tmp_path, form="reduced")


@pytest.mark.slow
def test_scores_of_the_whole_chip_in_ngspice(tmp_path: Path) -> None:
    one = chip(network(12, 3, 3), **{"array.wires.word": 20.0, "array.wires.bit": 20.0})
    export(one, IMAGES[0], tmp_path, form="full")
    found = run_exported(tmp_path)
    expected = classify(one, IMAGES[:1]).scores[0]
    ohmic = classify(chip(network(12, 3, 3), **{"array.nonlinearity": None}), IMAGES[:1]).scores[0]
    error = np.abs(found - expected).max()
    assert error < 0.02 * np.ptp(expected)
    assert error < 0.2 * np.abs(ohmic - expected).max()


def test_a_great_curvature_is_a_finding() -> None:
    def lacking(v0: float) -> list[float]:
        design = Design(network(12, 5, 3), Technology.load("discrete").with_values({"array.nonlinearity": v0}))
        return [one.value for one in check_arrays(design) if "half the read voltage" in one.quantity]

    assert lacking(1.0) == []
    np.testing.assert_allclose(lacking(0.5), [1.0 - 1.0 / np.cosh(1.0)] * 2)


def test_each_device_is_a_source_in_the_decks_of_all_simulators(tmp_path: Path) -> None:
    one = chip(network(12, 3, 3))
    export(one, IMAGES[0], tmp_path, form="full")
    devices_of = sum(int(np.count_nonzero(array.crossbar.conductance)) for array in one.arrays)
    assert (tmp_path / "chip.cir").read_text().count("sinh(") == devices_of
    assert (tmp_path / "run_vacask.sim").read_text().count("sinh(") == devices_of
