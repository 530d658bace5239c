"""An exported chip of digits in other hands: spicelib reads the chip that was drawn, and both simulators run it."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweeps import digits, random_features
from vacask_program import needs_vacask

from analog_fhn.backends.spice.backend import run_exported
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import MissingProgramError
from analog_fhn.netlist.bom import bill
from analog_fhn.netlist.export import export
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.ngspice.batch import program_version
from analog_fhn.technology.technology import Technology

spicelib = pytest.importorskip("spicelib", reason='spicelib is not installed: pip install "spicelib>=1.6"')

N_HIDDEN = 4


def _ngspice_is_there() -> bool:
    try:
        program_version()
    except MissingProgramError:
        return False
    return True


needs_ngspice = pytest.mark.skipif(not _ngspice_is_there(), reason="ngspice is not installed")


@dataclass(frozen=True)
class Exported:
    """A chip, its folder, and its deck in one file as spicelib reads it."""

    chip: ManufacturedChip
    folder: Path
    editor: Any

    def values(self, name: str) -> dict[str, float]:
        """Parameters of an instance of a subcircuit."""
        given = self.editor.get_component_parameters(name)
        return {key: value for key, value in given.items() if key != "Value"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("chip")
    network = replace(random_features((N_HIDDEN, 0.5)), protocol=Protocol(settle=1.0, control=4.0))
    chip = Design(network, Technology.load("discrete")).chip(1)
    export(chip, digits().images[0], folder, {}, form="full")
    deck = (folder / "run.cir").read_text()
    flat = folder / "flat.cir"  # spicelib looks for no elements in files that are included
    flat.write_text(re.sub(r"(?m)^\.include (\S+)\n", lambda found: (folder / found[1]).read_text(), deck))
    return Exported(chip, folder, spicelib.SpiceEditor(flat))


@pytest.fixture(scope="module")
def of_ngspice(exported: Exported) -> FloatArray:
    return run_exported(exported.folder)


def test_the_deck_opens_as_it_is(exported: Exported) -> None:
    assert spicelib.SpiceEditor(exported.folder / "run.cir").get_components() == []


def test_parts_are_those_of_the_bill(exported: Exported) -> None:
    items = bill(Design(exported.chip.network, exported.chip.technology))

    def bought(part: str) -> int:
        return sum(item.quantity for item in items if item.part.startswith(part))

    kinds = Counter(re.split(r"\d*_", name)[0] for name in exported.editor.get_components())
    assert kinds["R"] == bought("array resistor")
    assert kinds["XPAIR"] == bought("transconductance amplifier")
    assert 2 * kinds["XNEURON"] == bought("multiplier") == bought("capacitor")
    assert 3 * kinds["XNEURON"] + kinds["XDRIVER"] == bought("operational amplifier (opamp)")
    assert 2 * kinds["XSENSE"] == bought("operational amplifier (sense_amplifier)")
    assert 7 * kinds["XNEURON"] + 5 * kinds["XPAIR"] + 3 * (kinds["XDRIVER"] + kinds["XSENSE"]) == bought("resistor")


def test_conductances_are_those_of_the_chip(exported: Exported) -> None:
    for number, array in enumerate(exported.chip.arrays):
        conductance = array.crossbar.conductance
        read = [
            float(exported.editor.get_component_value(f"R{number}_{i:03d}_{j:03d}"))
            for i, j in product(*map(range, conductance.shape))
        ]
        np.testing.assert_allclose(1.0 / np.reshape(read, conductance.shape), conductance, rtol=1e-14)


def test_values_of_the_cells_are_those_of_the_chip(exported: Exported) -> None:
    (hardware,) = exported.chip.hardware
    for k in range(N_HIDDEN):
        for name, parts in zip(("neuron", "pair", "driver"), hardware.cells.parts, strict=True):
            drawn = {part: values[k] for part, values in parts.items()}
            read = exported.values(f"X{name}_{k:03d}")
            assert {part: read.get(part, 0.0) for part in drawn} == drawn  # a part of 0 is left out
        drawn = {part: values[k] for part, values in hardware.array.sense.items()}
        assert exported.values(f"Xsense0_{k:03d}").items() >= drawn.items()


@needs_ngspice
def test_what_spicelib_writes_runs_as_the_deck_does(exported: Exported, of_ngspice: FloatArray, tmp_path: Path) -> None:
    shutil.copy(exported.folder / "manifest.json", tmp_path)
    exported.editor.save_netlist(tmp_path / "run.cir")
    np.testing.assert_array_equal(run_exported(tmp_path), of_ngspice)


@needs_ngspice
@needs_vacask
def test_both_simulators_give_the_same_class(exported: Exported, of_ngspice: FloatArray) -> None:
    of_vacask = run_exported(exported.folder, simulator="vacask")
    assert of_vacask.argmax() == of_ngspice.argmax()
    np.testing.assert_allclose(of_vacask, of_ngspice, rtol=0, atol=5e-3 * np.abs(of_ngspice).max())
