"""Netlists of chips of transistors: what stands in them, what is refused, and scores in plain ngspice."""

import itertools
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run
from silicon import needs_models

from analog_fhn.array.integrating import IntegratingParts
from analog_fhn.backends.spice.backend import run_exported
from analog_fhn.cell.ota_fhn.layout import IntegratorParts
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import classify
from analog_fhn.netlist.array_read import BESIDE_HOLD
from analog_fhn.netlist.decks import chip_libraries
from analog_fhn.netlist.export import Form, default_form, expected_seconds, export
from analog_fhn.netlist.transistor_chip import transistor_chip
from analog_fhn.network import Dense, Network
from analog_fhn.neuron import FHN
from analog_fhn.technology.silicon import SiliconTechnology
from analog_fhn.technology.technology import Technology

needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is not installed")
pytestmark = [needs_models, needs_ngspice]

N_IN, N_HIDDEN, N_OUT = 6, 2, 3
IMAGE = np.array([0.3, 0.0, 0.9, 0.6, 0.2, 1.0])


def silicon(**changes: Any) -> SiliconTechnology:
    """The technology without noise, with changes by section: what a run has as noise is not in a netlist."""
    technology = Technology.load("silicon")
    assert isinstance(technology, SiliconTechnology)
    sections = {"sense_amplifier": {"noise": 0.0}, "integrator": {"noise": 0.0}, **changes}
    return technology.model_copy(
        update={name: getattr(technology, name).model_copy(update=values) for name, values in sections.items()}
    )


def network(unit: str = "sigmoid", gamma: float = -1.0, deep: bool = False) -> Network:
    rng = np.random.default_rng(2)
    sizes = (N_IN, N_HIDDEN, 2, N_OUT) if deep else (N_IN, N_HIDDEN, N_OUT)
    weights = [2.0 * rng.normal(size=shape) for shape in itertools.pairwise(sizes)]
    biases = [rng.normal(size=n) for n in sizes[1:]]
    if unit == "relu":
        layers = Dense(weights[0], biases[0], "relu", "tanh", 3.0), Dense(weights[1], biases[1])
        return Network(layers, fhn=FHN(gamma=gamma))
    return Network.of_weights(weights, biases, unit, fhn=FHN(gamma=gamma))


@pytest.fixture(scope="module")
def chip() -> ManufacturedChip:
    return Design(network(), silicon()).chip(1)


def exported(chip: ManufacturedChip, form: Form, folder: Path) -> np.ndarray[Any, Any]:
    export(chip, IMAGE, folder, {}, form=form)
    return run_exported(folder)


# Difference between scores of the circuit and of the equations, as a share of the spread of an image's scores. Most
# images have 1 to 3 %; a neuron that spikes has some per cent of an activation besides, since its periods, and so the
# phase at which a window of 7 T ends, are those of the equations within 2 to 3 %.
WITHIN = 0.08


def test_scores_are_those_of_classify(chip: ManufacturedChip, tmp_path: Path) -> None:
    expected = classify(chip, IMAGE[None])
    spread = np.ptp(expected.scores[0])
    full, reduced = (exported(chip, form, tmp_path / form) for form in ("full", "reduced"))
    assert np.abs(full - expected.scores[0]).max() < WITHIN * spread
    assert np.abs(reduced - full).max() < 5e-3 * spread
    assert np.argmax(full) == np.argmax(reduced) == expected.predictions[0]


def test_scores_of_a_relu_whose_drive_rises(tmp_path: Path) -> None:
    """The ramp of the row drivers falls, where that of the other networks here rises."""
    chip = Design(network("relu", gamma=1.0), silicon()).chip(None)
    expected = classify(chip, IMAGE[None]).scores[0]
    assert np.abs(exported(chip, "reduced", tmp_path) - expected).max() < WITHIN * np.ptp(expected)


def test_scores_of_two_hidden_layers(tmp_path: Path) -> None:
    chip = Design(network(deep=True), silicon(low_pass={"time_constant": 3.0})).chip(1)
    expected = classify(chip, IMAGE[None]).scores[0]
    assert np.abs(exported(chip, "reduced", tmp_path) - expected).max() < WITHIN * np.ptp(expected)
    assert {"read_2.cir", "cell_1_001.cir"} <= {path.name for path in tmp_path.iterdir()}


def test_parts_of_the_chip_are_in_the_netlist(chip: ManufacturedChip) -> None:
    texts = transistor_chip(chip, IMAGE, folded=False)
    technology, sense = chip.technology, chip.arrays[0].sense
    assert isinstance(technology, SiliconTechnology)
    assert isinstance(sense, IntegratingParts)

    def values(name: str, text: str) -> np.ndarray[Any, Any]:
        return np.array([float(value) for value in re.findall(rf"\b{name}=(\S+)", text)])

    read = texts["read_0.cir"]
    np.testing.assert_allclose(values("beta_p_copy", read), 1.0 + sense.plus, rtol=1e-15)
    np.testing.assert_allclose(values("beta_n_copy", read), 1.0 + sense.minus, rtol=1e-15)
    # V = I t/(N C), with what lies beside the capacitor
    ohms = technology.reading.duration / (values("n_ratio", read) * (values("c_hold", read) + BESIDE_HOLD))
    np.testing.assert_allclose(ohms, sense.r, rtol=1e-12)
    devices = re.findall(r"^R0_\d+_\d+ \S+ \S+ (\S+)$", read, re.MULTILINE)
    np.testing.assert_allclose(
        np.sort([1.0 / float(ohm) for ohm in devices]), np.sort(chip.arrays[0].crossbar.conductance.ravel()), rtol=1e-12
    )
    cell = chip.hardware[0].cells.cell
    neurons, drives, integrators = chip.hardware[0].cells.parts
    assert isinstance(integrators, IntegratorParts)
    for k in range(N_HIDDEN):
        text = texts[f"cell_{k:03d}.cir"]
        for parts, areas, transistor in ((neurons, cell.areas[0], "pya"), (drives, cell.areas[1], "m1")):  # type: ignore[attr-defined]
            drawn = dict(parts.items())
            assert values(f"dvt_{transistor}", text) == drawn[f"dvt_{transistor}"][k] / areas[transistor]
        assert values("c_hold", text) == pytest.approx(integrators.c[k] / (1 + integrators.gain[k]) - 12e-15, rel=1e-12)
    rows = texts["read_1.cir"]
    span = 2 * 2.4e-9 * 7 * technology.time_unit / technology.integrator.capacitor
    np.testing.assert_allclose(
        values("dvt_hold", rows), integrators.offset / technology.array.read_voltage * span, rtol=1e-9
    )


def test_folder_of_a_chip_of_transistors(chip: ManufacturedChip, tmp_path: Path) -> None:
    names = export(chip, IMAGE, tmp_path, {"image": 3})
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    assert "bom.csv" not in names
    assert {*chip_libraries(chip), "README.txt", "read_0.cir", "read_1.cir", "cell_001.cir", "run.cir"} <= set(names)
    # The models are named, and nowhere copied.
    models = str(chip.technology.pdk.file)  # type: ignore[attr-defined]
    assert (tmp_path / "devices.lib").read_text().count(models) == 3
    assert not any("level = 54" in path.read_text().lower() for path in tmp_path.iterdir())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["form"] == default_form(chip) == "full"
    assert manifest["expected_seconds"] == expected_seconds(chip, "full") < 20.0
    # What a run leaves is removed with the next export.
    for name in ("z_000.inc", "held_001.inc", "scores.txt"):
        assert name in manifest["results"]
        (tmp_path / name).write_text("old")
    assert set(export(chip, IMAGE, tmp_path, {}, form="reduced")) == {path.name for path in tmp_path.iterdir()}


def test_names_are_there_once(chip: ManufacturedChip) -> None:
    for folded in (False, True):
        for name, text in transistor_chip(chip, IMAGE, folded=folded).items():
            if name.startswith(("read", "cell")):
                elements = [line.split()[0].lower() for line in text.splitlines() if line[0] not in "*+."]
                assert len(elements) == len(set(elements))
                assert all(len(line) <= 120 for line in text.splitlines() if line[0] == "*")


def test_what_netlists_of_transistors_cannot_have(chip: ManufacturedChip, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"an input is -0\.5: .* expected inputs from 0 on"):
        export(chip, np.full(N_IN, -0.5), tmp_path, {})
    with pytest.raises(InputError, match="cannot carry x, which has both signs; expected a network with recentring"):
        export(chip, IMAGE, tmp_path, {}, recentre=False)
    with pytest.raises(InputError, match="no netlists of convolutions"):
        export(chip, IMAGE, tmp_path, {}, position=(0, 0))
    with pytest.raises(InputError, match="activations of units 'tanh' have both signs"):
        export(Design(network("tanh"), silicon()).chip(None), IMAGE, tmp_path, {})
    long = chip.with_protocol(replace(chip.network.protocol, control=40.0))
    with pytest.raises(InputError, match=r"integrators of 1\.15e-12 F go down by 2\.\d* V .* less than 1\.35 V"):
        export(long, IMAGE, tmp_path, {})
    fast = Design(chip.network, silicon(reading={"duration": 1e-8})).chip(None)
    with pytest.raises(InputError, match="leaves no hold capacitor"):
        export(fast, IMAGE, tmp_path, {})
    with pytest.raises(ValueError, match="shape"):
        export(chip, IMAGE[:4], tmp_path, {})
    with pytest.raises(ValueError, match="finite"):
        export(chip, np.full(N_IN, np.nan), tmp_path, {})
    assert not any(tmp_path.iterdir())


def test_command_writes_such_a_chip(tmp_path: Path) -> None:
    network().save(tmp_path / "net.npz")
    arguments = "export", tmp_path / "net.npz", "--technology", "silicon", "--chip", "1"
    status, out, err = run(*arguments, "-o", tmp_path / "build")
    assert status == 0, err
    assert "the whole chip, reads of arrays and cells in turn, all inputs zero" in out
    assert "bom.csv" not in out
    status, out, _ = run(*arguments, "--form", "neurons", "-o", tmp_path / "neurons")
    assert status == 0
    assert "2 neuron netlists" in out
    assert (tmp_path / "neurons" / "neuron_001.cir").is_file()
