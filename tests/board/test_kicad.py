"""Boards in KiCad itself: its electrical rules, its own netlist, its symbols; sheets as PDF and SVG (`make kicad`)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from kicad_program import SYMBOLS, as_kicad_reads_it, eeschema, missing, violations
from sweeps import random_features

from analog_fhn.board.catalogue import named
from analog_fhn.board.equality import compare
from analog_fhn.board.export import export_kicad
from analog_fhn.board.schematic_reader import read_schematic
from analog_fhn.board.spice_reader import read_netlist
from analog_fhn.design import Design
from analog_fhn.netlist.export import NETLISTS
from analog_fhn.technology.technology import Technology

for package in ("kicad_monkey", "kiutils"):
    pytest.importorskip(package, reason=f'{package} is not installed: pip install "analog-fhn[board]"')
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

NAMES = {"cells": 4, "digits": None}


@pytest.fixture(scope="module", params=NAMES)
def board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The schematic of four cells, or of a digits network 64-8-10."""
    folder = tmp_path_factory.mktemp(request.param)
    chip = Design(random_features((8, 0.5)), Technology.load("discrete")).chip(1)
    export_kicad(chip, folder, cells=NAMES[request.param], name=request.param)
    return folder / f"{request.param}.kicad_sch"


def test_no_electrical_rule_is_broken(board: Path, tmp_path: Path) -> None:
    assert violations(board, tmp_path) == []


def test_the_netlist_of_kicad_is_the_exported_one(board: Path, tmp_path: Path) -> None:
    packages = as_kicad_reads_it(read_schematic(board.with_suffix(".kicad_pro")), board, tmp_path)
    assert list(compare(packages, read_netlist(board.parent / NETLISTS))) == []


@pytest.mark.parametrize("form", ["pdf", "svg"])
def test_sheets_are_printed(form: str, board: Path, tmp_path: Path) -> None:
    eeschema(board, tmp_path, "export", "--all_pages", "--file_format", form)
    pictures = sorted(tmp_path.glob(f"*.{form}"))
    assert len(pictures) == (1 if form == "pdf" else len(list(board.parent.glob("*.kicad_sch"))))
    assert all(path.stat().st_size > 2000 for path in pictures)
    if "ANALOG_FHN_SHEETS" in os.environ:
        for path in pictures:
            shutil.copy(path, os.environ["ANALOG_FHN_SHEETS"])


@pytest.mark.skipif(not SYMBOLS.is_dir(), reason="the symbols of KiCad are not installed: make kicad")
@pytest.mark.parametrize(
    ("part_number", "library", "symbol"),
    [
        ("TL082CP", "Amplifier_Operational", "TL082"),
        ("OPA2134PA", "Amplifier_Operational", "OPA2134"),
        ("LM13700N/NOPB", "Amplifier_Operational", "LM13700"),
        ("1N4148-TAP", "Diode", "1N4148"),
    ],
)
def test_pins_of_the_catalogue_are_those_of_the_symbols_of_kicad(part_number: str, library: str, symbol: str) -> None:
    from kiutils.symbol import SymbolLib

    known = {one.entryName: one for one in SymbolLib.from_file(str(SYMBOLS / f"{library}.kicad_sym")).symbols}
    drawn = known[known[symbol].extends or symbol]
    units = [{pin.number: pin.name for pin in unit.pins} for unit in drawn.units if unit.pins]
    component = named(part_number)
    assert component is not None
    for unit in component.units:
        # Outputs and control inputs have no names there, but the same unit holds them.
        (drawn_unit,) = (one for one in units if set(unit.values()) <= set(one))
        assert all(drawn_unit[pin] in (terminal, "~") for terminal, pin in unit.items())
    names = {number: name for unit in units for number, name in unit.items()}
    assert {terminal: names[pin] for terminal, pin in component.power.items()} == {
        terminal: terminal for terminal in component.power
    }
