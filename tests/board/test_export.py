"""An exported board: the same chip gives the same files, texts stay texts, what was worked on is not written over."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from pathlib import Path

import pytest
from command_line import run
from kiutils.schematic import Schematic
from small_boards import small_chip

from analog_fhn.board import kicad
from analog_fhn.board.export import export_kicad, project_name
from analog_fhn.errors import InputError
from analog_fhn.netlist.export import earlier_files


def test_same_chip_same_files(tmp_path: Path) -> None:
    names = [export_kicad(small_chip("sigmoid"), tmp_path / one, cells=3) for one in ("a", "b")]
    assert names[0] == names[1]
    assert {name for name in names[0] if name.endswith(".kicad_sch")} == {
        "board.kicad_sch", "cell_000.kicad_sch", "cell_001.kicad_sch", "cell_002.kicad_sch", "connectors.kicad_sch",
        "supplies.kicad_sch",
    }  # fmt: skip
    for name in names[0]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    export_kicad(small_chip("sigmoid", 4), tmp_path / "b", cells=2)
    assert not (tmp_path / "b" / "cell_002.kicad_sch").exists()
    first, other = (
        re.sub(r' "[a-z_0-9]+=[^"]*"', "", (tmp_path / one / "cell_001.kicad_sch").read_text()) for one in "ab"
    )
    assert first.replace("3 cells", "2 cells").replace("chip 3", "chip 4") == other


def test_cells_alone_run_in_ngspice(tmp_path: Path) -> None:
    export_kicad(small_chip("sigmoid", None), tmp_path, cells=2)
    folder = tmp_path / "netlist"
    done = subprocess.run(["ngspice", "-b", "run.cir"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [float(line.split()[1]) for line in (folder / "rows.txt").read_text().splitlines()]
    # At 0 V a sigmoid is at its half: 0.5 of the 2.1 that stand for 1 V, a neuron's mean being that of few periods.
    assert rows == pytest.approx([0.5 / 2.1] * 2, rel=0.2)
    assert rows[0] == pytest.approx(rows[1], rel=1e-6)


def test_texts_of_users_stay_texts(tmp_path: Path) -> None:
    hostile = 'b"oard\\" (symbol\n)'
    chip = small_chip("sigmoid")
    named = chip.technology.model_copy(update={"name": hostile})
    chip = type(chip).assembled(chip.network, named, chip.hardware, chip.output_array, chip.seed)
    export_kicad(chip, tmp_path, cells=1)
    text = (tmp_path / "cell_000.kicad_sch").read_text()
    assert 'technology b\\"oard\\\\\\" (symbol\\n)' in text
    sheet = Schematic.from_file(str(tmp_path / "cell_000.kicad_sch"))
    assert len(sheet.schematicSymbols) > 40
    assert kicad.text('a\x1b[31m"\\\r\n') == 'a[31m"\\\\\\n'


def test_a_schematic_that_was_worked_on_is_kept(tmp_path: Path) -> None:
    export_kicad(small_chip("sigmoid"), tmp_path, cells=1)
    sheet = tmp_path / "cell_000.kicad_sch"
    sheet.write_text(sheet.read_text() + "\n")
    with pytest.raises(InputError, match=r"cell_000\.kicad_sch: was changed since it was written"):
        export_kicad(small_chip("sigmoid", 4), tmp_path, cells=1)


def test_earlier_files_are_those_of_the_folder(tmp_path: Path) -> None:
    export_kicad(small_chip("sigmoid"), tmp_path / "build", cells=1)
    manifest = tmp_path / "build" / "manifest.json"
    facts = json.loads(manifest.read_text())
    other = tmp_path / "netlist" / "mine.cir"
    other.parent.mkdir()
    other.write_text("mine")
    facts["results"] = ["../netlist/mine.cir", "netlist/../../netlist/mine.cir"]
    manifest.write_text(json.dumps(facts))
    found = earlier_files(tmp_path / "build")
    assert tmp_path / "build" / "netlist" / "chip.cir" in found
    assert not any(path.name == "mine.cir" for path in found)


@pytest.mark.parametrize("name", ["", "a/b", "..", "connectors", "x" * 61])
def test_bad_names_of_projects(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="of a project: expected"):
        export_kicad(small_chip("sigmoid"), tmp_path, cells=1, name=name)
    assert not list(tmp_path.iterdir())
    assert re.fullmatch("[A-Za-z0-9_-]{1,60}", project_name(name))
    assert project_name(name) != "connectors"


def test_the_command_writes_and_lists_the_files(tmp_path: Path) -> None:
    small_chip("sigmoid").network.save(tmp_path / "my net.npz")
    options = ("--form", "kicad", "--cells", "2", "--technology", "discrete", "--chip", "3")
    status, out, _ = run("export", tmp_path / "my net.npz", *options, "-o", tmp_path / "out", "--json", "-")
    assert status == 0
    files = json.loads(out)["files"]
    assert {"my_net.kicad_pro", "my_net.kicad_sch", "netlist/run.cir", "bom.csv", "manifest.json"} <= set(files)
    assert all((tmp_path / "out" / name).is_file() for name in files)


def test_arrays_can_be_ordered_as_potentiometers(tmp_path: Path) -> None:
    small_chip("sigmoid").network.save(tmp_path / "net.npz")
    plain = small_chip("sigmoid").technology
    wide = plain.model_copy(update={"name": "wide", "array": plain.array.model_copy(update={"g_min": 10e-6})})
    wide.save(tmp_path / "wide.yaml")
    options = ("--form", "kicad", "--technology", tmp_path / "wide.yaml", "--chip", "3", "-o", tmp_path / "out")
    status, out, err = run("export", tmp_path / "net.npz", *options, "--array-parts", "digital")
    assert status == 0, err
    said = " ".join(out.split())
    assert "USD by price classes), codes.csv, manifest.json" in said
    assert "what is bought: TFPT1206" in said
    devices = (tmp_path / "out" / "codes.csv").read_text(encoding="utf-8").splitlines()[1:]
    order = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["order"]
    with (tmp_path / "out" / "bom.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    bought = next(line for line in lines if line["part_number"].startswith("AD529"))
    assert int(bought["needed"]) == len(devices) > 0
    assert order["array"] == "digital"
    assert order["price"] == pytest.approx(sum(float(line["total"]) for line in lines), abs=0.1)
    assert run("export", tmp_path / "net.npz", *options)[0] == 0
    assert not (tmp_path / "out" / "codes.csv").exists()
    with pytest.raises(InputError, match="array 'relays': expected one of resistors, networks, digital"):
        export_kicad(small_chip("sigmoid"), tmp_path / "no", array="relays")  # type: ignore[arg-type]
    for form, option in (
        (("--form", "full"), "without --form kicad"),
        (("--form", "kicad", "--cells", 2), "no arrays"),
    ):
        status, _, err = run("export", tmp_path / "net.npz", *form, "--array-parts", "networks", "-o", tmp_path / "no")
        assert status == 2
        assert option in err
