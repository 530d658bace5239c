"""Exported folders: what is in them, that nothing of a user's text is in a netlist, that they run in plain ngspice."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_fhn.cell.opamp_fhn.layout import groups
from analog_fhn.chip import Chip, ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.netlist import export as module
from analog_fhn.netlist.decks import chip_libraries
from analog_fhn.netlist.export import Form, export, write_chip
from analog_fhn.netlist.folded_chip import folded_chip
from analog_fhn.netlist.whole_chip import estimated_seconds, whole_chip
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology
from analog_fhn.technology.wires import Wires

N_IN, N_HIDDEN, N_OUT = 5, 2, 3
IMAGE = np.array([0.0, 0.9, 0.3, 1.0, 0.55])


def made(seed: int | None = 1, **array: Any) -> ManufacturedChip:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(N_IN, N_HIDDEN)), rng.normal(size=(N_HIDDEN, N_OUT))
    network = Network.of_weights(weights, (rng.normal(size=N_HIDDEN), rng.normal(size=N_OUT))).with_options(
        settle=2, control=10
    )
    technology = Technology.load("discrete")
    changed = technology.array.model_copy(update=array)
    return Design(network, technology.model_copy(update={"array": changed})).chip(seed)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_scores_of_an_earlier_export_are_removed(tmp_path: Path) -> None:
    (tmp_path / "scores.txt").write_text("0 1\n")
    export(made(), IMAGE, tmp_path, {})
    assert not (tmp_path / "scores.txt").exists()


def test_files_of_an_earlier_export_are_removed(tmp_path: Path) -> None:
    export(made(tile_rows=4), IMAGE, tmp_path, {}, form="full")
    (tmp_path / "run_xyce.cir").write_text("* changed by its user\n")
    (tmp_path / "notes.txt").write_text("the user's own\n")
    (tmp_path / "scores.txt").write_text("0 1\n")
    names = write_chip(made(), [np.array([-0.5, -0.5])], tmp_path, {})
    assert {path.name for path in tmp_path.iterdir()} == {*names, "run_xyce.cir", "notes.txt"}


@pytest.mark.parametrize("form", ["full", "reduced", "neurons"])
def test_titles_are_comments(form: str, tmp_path: Path) -> None:
    # ngspice takes the first line for the title in any case; spicelib reads it as an element where it is no comment
    if form == "neurons":
        write_chip(made(), [np.array([-0.5, -0.5])], tmp_path, {})
    else:
        export(made(), IMAGE, tmp_path, {}, form=form)  # type: ignore[arg-type]
    titles = [path.read_text().splitlines()[0] for path in (*tmp_path.glob("*.cir"), *tmp_path.glob("*.lib"))]
    assert len(titles) > len(chip_libraries(made()))
    assert all(title.startswith("* ") for title in titles)


@pytest.mark.parametrize("form", ["neurons", "reduced"])
def test_what_runs_of_an_earlier_export_wrote_is_removed(form: str, tmp_path: Path) -> None:
    write_chip(made(), [np.array([-0.5, -0.5])], tmp_path, {})
    (tmp_path / "neuron_001.txt").write_text("time v(x) v(y)\n")
    if form == "neurons":
        names = write_chip(made(), [np.array([-0.1, -0.1])], tmp_path, {})
    else:
        names = export(made(), IMAGE, tmp_path, {}, form="reduced")
    assert {path.name for path in tmp_path.iterdir()} == set(names)


def test_an_export_that_cannot_be_written_leaves_the_earlier_one(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    names = export(made(), IMAGE, folder, {}, form="full")
    (folder / "scores.txt").write_text("0 1\n")
    before = {name: (folder / name).read_bytes() for name in [*names, "scores.txt"]}
    (folder / "neuron_001.cir").mkdir()
    with pytest.raises(InputError, match=r"neuron_001\.cir: cannot be written \(Is a directory\), and so none of"):
        write_chip(made(), [np.array([-0.5, -0.5])], folder, {})
    (folder / "neuron_001.cir").rmdir()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_links_are_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("old")
    folder = tmp_path / "folder"
    folder.mkdir()
    export(made(), IMAGE, folder, {}, form="full")
    (folder / "run.cir").unlink()
    (folder / "run.cir").symlink_to("../precious")
    shutil.copy(folder / "run_xyce.cir", tmp_path / "moved.cir")
    (folder / "run_xyce.cir").unlink()
    (folder / "run_xyce.cir").symlink_to("../moved.cir")
    names = export(made(), IMAGE, folder, {}, form="reduced")
    assert (tmp_path / "precious").read_text() == "old"
    assert not (folder / "run.cir").is_symlink()
    assert {path.name for path in folder.iterdir()} == {*names, "run_xyce.cir"}
    assert (tmp_path / "moved.cir").is_file()


@pytest.mark.parametrize("listed", ["../outside.csv", "inside.csv"])
def test_a_manifest_of_another_program_removes_nothing(listed: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / listed).write_text("1,2\n")
    entry = {listed: hashlib.sha256((folder / listed).read_bytes()).hexdigest()}
    ours = {"format": 2, "form": "full", "weights_sha256": ""} if listed.startswith("..") else {}
    for manifest in ({"sha256": entry} | ours, [1], {"sha256": 3} | ours):
        (folder / "manifest.json").write_text(json.dumps(manifest))
        export(made(), IMAGE, folder, {})
        assert (folder / listed).is_file()


@pytest.mark.parametrize("form", ["full", "reduced"])
def test_folder_holds_what_it_lists(form: Form, tmp_path: Path) -> None:
    names = export(made(), IMAGE, tmp_path / "new", {"image": 3}, form=form)
    assert sorted(names) == sorted(path.name for path in (tmp_path / "new").iterdir())
    assert {
        *chip_libraries(made()),
        "run.cir",
        "bom.csv",
        "conductances_0.csv",
        "conductances_1.csv",
        "manifest.json",
    } <= set(names)
    assert ("chip.cir" in names) == (form == "full")
    assert ("cell_001.cir" in names) == (form == "reduced")
    manifest = json.loads((tmp_path / "new" / "manifest.json").read_text())
    assert (manifest["form"], manifest["chip_seed"], manifest["image"]) == (form, 1, 3)
    assert manifest["inputs"] == IMAGE.tolist()
    assert set(manifest["sha256"]) == set(names) - {"manifest.json"}
    for name, digest in manifest["sha256"].items():
        assert hashlib.sha256((tmp_path / "new" / name).read_bytes()).hexdigest() == digest


def test_conductance_tables_hold_targets_and_devices(tmp_path: Path) -> None:
    chip = made()
    export(chip, IMAGE, tmp_path, {})
    targets = Design(chip.network, Technology.load("discrete")).crossbars
    for layer, (array, target) in enumerate(zip(chip.arrays, targets, strict=True)):
        bar = array.crossbar
        rows = read(tmp_path / f"conductances_{layer}.csv")
        shape = bar.conductance.shape
        assert len(rows) == shape[0] * shape[1]
        for row in rows:
            i, j = int(row["row"]), int(row["bit_line"])
            assert row["input"] == ("bias" if i >= bar.n_in else str(i))
            side = "g_plus" if row["sign"] == "+" else "g_minus"
            assert float(row["made_siemens"]) == getattr(bar, side)[i, int(row["output"])]
            assert float(row["target_siemens"]) == getattr(target, side)[i, int(row["output"])]
            assert j == 2 * int(row["output"]) + (row["sign"] == "-")


def test_every_tile_has_a_table_of_its_own(tmp_path: Path) -> None:
    chip = made(tile_rows=4, tile_columns=3)
    names = export(chip, IMAGE, tmp_path, {})
    first = sorted(name for name in names if name.startswith("conductances_0"))
    # 5 inputs and the bias rows by 4 bit lines
    n_rows = len(chip.arrays[0].crossbar.g_plus)
    assert first == sorted(
        f"conductances_0_row_{i}_bit_line_{j}.csv" for i in range(0, n_rows, 4) for j in (0, 3)
    )  # fmt: skip
    devices = [(int(r["row"]), int(r["bit_line"])) for name in first for r in read(tmp_path / name)]
    assert sorted(devices) == [(i, j) for i in range(n_rows) for j in range(2 * N_HIDDEN)]
    corner = read(tmp_path / "conductances_0_row_0_bit_line_3.csv")
    assert {(int(r["row"]), int(r["bit_line"])) for r in corner} == {(i, 3) for i in range(4)}


def deep(seed: int | None = 1, hidden: str = "sigmoid", **array: Any) -> ManufacturedChip:
    """Layers of 2 and 3 hidden neurons."""
    rng = np.random.default_rng(0)
    sizes = (N_IN, 2, 3, N_OUT)
    weights = [rng.normal(size=shape) for shape in itertools.pairwise(sizes)]
    network = Network.of_weights(weights, [rng.normal(size=n) for n in sizes[1:]], hidden)
    technology = Technology.load("discrete")
    changed = technology.array.model_copy(update=array)
    network = network.with_options(settle=2, control=20)
    return Design(network, technology.model_copy(update={"array": changed})).chip(seed)


@pytest.mark.parametrize("form", ["full", "reduced"])
def test_folder_of_two_hidden_layers(form: Form, tmp_path: Path) -> None:
    chip = deep()
    names = export(chip, IMAGE, tmp_path, {}, form=form)
    assert {"smoothing_driver.lib", "row_driver.lib"} <= set(names)
    assert [name for name in names if name.startswith("cond")] == [f"conductances_{k}.csv" for k in range(3)]
    devices = read(tmp_path / "conductances_1.csv")
    assert len(devices) == chip.arrays[1].crossbar.conductance.size
    assert {row["output"] for row in devices} == {"0", "1", "2"}
    assert any(item["where"].startswith("Cf of the row drivers") for item in read(tmp_path / "bom.csv"))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert len(manifest["siemens_per_weight"]) == 3
    if form == "reduced":
        cells = ["cell_000.cir", "cell_001.cir", "cell_1_000.cir", "cell_1_001.cir", "cell_1_002.cir"]
        assert sorted(name for name in names if name.startswith("cell")) == cells


def test_neurons_of_two_hidden_layers(tmp_path: Path) -> None:
    names = write_chip(deep(), [np.array([-0.5, -0.6]), np.array([-0.1, -0.2, -0.3])], tmp_path, {})
    decks = ["neuron_000.cir", "neuron_001.cir", "neuron_1_000.cir", "neuron_1_001.cir", "neuron_1_002.cir"]
    assert [name for name in names if name.startswith("neuron")] == decks
    assert ": I = -0.2\n" in (tmp_path / "neuron_1_001.cir").read_text()
    assert json.loads((tmp_path / "manifest.json").read_text())["drives"] == [-0.5, -0.6, -0.1, -0.2, -0.3]
    with pytest.raises(ValueError, match=r"drives have shapes \[\(2,\)\]; expected \[\(2,\), \(3,\)\]"):
        write_chip(deep(), [np.array([-0.5, -0.6])], tmp_path, {})


def test_low_passes_are_parts_of_the_whole_chip(tmp_path: Path) -> None:
    chip = deep()
    export(chip, IMAGE, tmp_path, {}, form="full")
    lines = (tmp_path / "chip.cir").read_text().splitlines()
    drivers = [line.split() for line in lines if line.startswith("Xdriver")]
    assert [(line[0], line[2], line[-1]) for line in drivers] == [
        ("Xdriver_000", "row_000", "smoothing_driver"), ("Xdriver_001", "row_001", "smoothing_driver"),
        ("Xdriver_1_000", "row_1_000", "row_driver"), ("Xdriver_1_001", "row_1_001", "row_driver"),
        ("Xdriver_1_002", "row_1_002", "row_driver"),
    ]  # fmt: skip
    written = [float(value) for value in re.findall(r"\bcf=(\S+)", "\n".join(lines))]
    assert written == groups(chip.hardware[0].cells)[2].cf.tolist()
    # Every word line of the array between begins at a row driver or at a bias' source.
    rows = {line.split()[1] for line in lines if line.startswith("R1_")}
    n_rows = len(chip.arrays[1].crossbar.g_plus)
    assert rows == {f"row_{i:03d}" for i in range(n_rows)}


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh"])
@pytest.mark.parametrize("recentre", [True, False])
def test_names_and_supplies_are_there_once(recentre: bool, hidden: str) -> None:
    """LTspice takes no two elements of one name; layers share their supplies."""
    array = {"wires": Wires(word=2.0, bit=2.0, driver=2.0), "tile_rows": 3}
    chip = deep(hidden=hidden, **array)
    for text in (
        whole_chip(chip, IMAGE, recentre=recentre)["chip.cir"],
        folded_chip(chip, IMAGE, recentre=recentre)["cell_1_002.cir"],
    ):
        names = [line.split()[0].lower() for line in text.splitlines() if line[0] not in "*+."]
        assert len(names) == len(set(names))
        assert {"vcc", "vee", "vref"} <= set(names)


HOSTILE = "x\n.control\nshell touch owned\n.endc\n* "
LINE = ".control; shell touch owned"  # names and sources of a technology have no more than one


@pytest.mark.parametrize("form", ["full", "reduced", "neurons"])
def test_no_text_of_the_user_reaches_a_netlist(form: str, tmp_path: Path) -> None:
    chip = made()
    technology = chip.technology.model_copy(update={"name": LINE, "source": LINE})
    hostile = replace(chip, technology=technology, network=replace(chip.network, provenance={HOSTILE: HOSTILE}))
    notes = {"dataset": HOSTILE, "image": HOSTILE}
    folders = [tmp_path / "hostile", tmp_path / "plain"]
    for one, folder in zip((hostile, chip), folders, strict=True):
        if form == "neurons":
            names = write_chip(one, [np.array([-0.5, -0.5])], folder, notes)
        else:
            names = export(one, IMAGE, folder, notes, form=form)  # type: ignore[arg-type]
    for name in names:
        assert name.isascii()
        assert all(c.isalnum() or c in "_." for c in name)
        if name != "manifest.json":
            assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
            assert "touch" not in (folders[0] / name).read_text()
    assert json.loads((folders[0] / "manifest.json").read_text())["technology"]["name"] == LINE


def test_form_follows_the_time_that_ngspice_would_take(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chip = made()
    assert "chip.cir" in export(chip, IMAGE, tmp_path / "short", {})
    monkeypatch.setattr(module, "LONGEST_RUN", 0.5 * estimated_seconds(chip, full=True))
    assert "chip.cir" not in export(chip, IMAGE, tmp_path / "long", {})


def test_estimated_time_grows_with_what_is_in_the_circuit() -> None:
    def seconds(n_in: int, n_hidden: int, wires: Wires, settle: float = 100.0) -> float:
        network = Network.of_weights((np.ones((n_in, n_hidden)), np.ones((n_hidden, 10)))).with_options(settle=settle)
        technology = Technology.load("discrete")
        array = technology.array.model_copy(update={"wires": wires})
        chip = Design(network, technology.model_copy(update={"array": array})).chip(None)
        return estimated_seconds(chip, full=True)

    ideal = Wires()
    # Measured with ngspice 39 for 300 T: 64-16-10 takes 390 s, 64-8-10 125 s, with wires 64-8-10 2500 s.
    assert seconds(64, 16, ideal) == pytest.approx(390.0, rel=0.5)
    assert seconds(64, 8, ideal) == pytest.approx(125.0, rel=0.5)
    assert seconds(64, 8, Wires(word=1.0, bit=1.0)) == pytest.approx(2500.0, rel=0.5)
    assert seconds(64, 8, ideal, settle=400.0) == pytest.approx(2 * seconds(64, 8, ideal))


def test_exports_that_cannot_be(tmp_path: Path) -> None:
    chip = made()
    with pytest.raises(InputError, match="needs a chip with a technology"):
        export(Chip.ideal(chip.network), IMAGE, tmp_path, {})
    with pytest.raises(InputError, match="needs a chip with a technology"):
        export(chip.with_ideal_stages(), IMAGE, tmp_path, {})
    with pytest.raises(InputError, match="form 'fulll': expected 'full' or 'reduced'"):
        export(chip, IMAGE, tmp_path, {}, form="fulll")  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())
    for form in ("full", "reduced"):
        with pytest.raises(ValueError, match="shape"):
            export(chip, IMAGE[:4], tmp_path, {}, form=form)
        with pytest.raises(ValueError, match="finite"):
            export(chip, np.full(N_IN, np.nan), tmp_path, {}, form=form)


def test_devices_without_conductance_are_left_out(tmp_path: Path) -> None:
    chip = made(None, g_min=0.0)
    export(chip, IMAGE, tmp_path, {}, form="full")
    bars = [array.crossbar.conductance for array in chip.arrays]
    assert sum(np.count_nonzero(g == 0.0) for g in bars) > 0
    lines = (tmp_path / "chip.cir").read_text().splitlines()
    assert sum(line[0] == "R" for line in lines) == sum(np.count_nonzero(g) for g in bars)


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is not installed")
@pytest.mark.parametrize("form", ["full", "reduced"])
def test_plain_ngspice_runs_the_folder(form: Form, tmp_path: Path) -> None:
    export(made(), IMAGE, tmp_path, {}, form=form)
    (tmp_path / "scores.txt").write_text("7 old\n")
    texts = []
    for _ in range(2):
        done = subprocess.run(["ngspice", "-b", "run.cir"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        texts.append((tmp_path / "scores.txt").read_text())
    assert texts[0] == texts[1]
    assert [line.split()[0] for line in texts[0].splitlines()] == ["0", "1", "2"]
    assert all(np.isfinite(float(line.split()[1])) for line in texts[0].splitlines())
