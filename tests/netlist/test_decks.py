import re
import shutil
import subprocess
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from portable_lines import check_portable
from silicon import needs_models

from analog_fhn._support.resources import resource
from analog_fhn.backends.spice.backend import Spice
from analog_fhn.cell.base import Cells, CircuitCells
from analog_fhn.cell.opamp_fhn.cell import OpAmpFHN
from analog_fhn.cell.opamp_fhn.layout import groups
from analog_fhn.cell.opamp_fhn.neuron import NeuronParts
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.netlist.decks import cell_deck, chip_libraries, neuron_deck
from analog_fhn.netlist.export import write_chip
from analog_fhn.netlist.whole_chip import whole_chip
from analog_fhn.network import Convolution, Dense, Network
from analog_fhn.neuron import FHN, FloatArray, Protocol, cycle_from_samples
from analog_fhn.ngspice.text import number
from analog_fhn.patches import Patches
from analog_fhn.readout import Activation, recentring
from analog_fhn.technology.foundry import KITS
from analog_fhn.technology.technology import Technology
from analog_fhn.technology.wires import Wires

LIBRARIES = sorted(path.name for path in resource("netlists").glob("*.lib"))
# Libraries of transistors need the models of a foundry.
TRANSISTORS = sorted(name for name in LIBRARIES if "fet_n" in resource("netlists", name).read_text(encoding="ascii"))
BOARD = sorted(set(LIBRARIES) - set(TRANSISTORS))
DEVICES = {kit.library for kit in KITS.values()}
needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is not installed")


@pytest.fixture(scope="module")
def chip() -> ManufacturedChip:
    rng = np.random.default_rng(0)
    network = Network.of_weights((rng.normal(size=(20, 5)), rng.normal(size=(5, 3))))
    return Design(network, Technology.load("discrete")).chip(1)


@pytest.fixture(scope="module")
def cells(chip: ManufacturedChip) -> CircuitCells:
    return chip.hardware[0].cells


def batch(deck: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ngspice", "-b", deck.name], cwd=deck.parent, capture_output=True, text=True, timeout=120)


def measured(output: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^(\w+) += +(\S+)", output, re.MULTILINE)}


def measure(folder: Path, *lines: str) -> dict[str, float]:
    for name in BOARD:
        shutil.copyfile(resource("netlists", name), folder / name)
    deck = folder / "bench.cir"
    includes = [f".include {name}" for name in BOARD]
    deck.write_text("\n".join(["bench", *includes, ".options reltol=1e-6", *lines, ".end", ""]))
    run = batch(deck)
    assert run.returncode == 0, run.stdout + run.stderr
    return measured(run.stdout)


@pytest.mark.parametrize("name", LIBRARIES)
def test_libraries_keep_to_what_three_simulators_share(name: str) -> None:
    # The devices of a foundry and what sets initial conditions are for ngspice.
    special = dict.fromkeys(DEVICES, ((".lib",), "M", 2)) | {"ota_probe.lib": ((".ic",), "", 4)}
    allowed, elements, subcircuits = special.get(name, ((), "", 1))
    code = check_portable(resource("netlists", name).read_text(encoding="ascii"), allowed, elements)
    assert sum(line.startswith(".subckt") for line in code) == subcircuits


@pytest.mark.parametrize("ohms", [0.0, 2.0])
def test_whole_chips_keep_to_it_too(ohms: float, chip: ManufacturedChip) -> None:
    array = chip.technology.array.model_copy(update={"wires": Wires(word=ohms, bit=ohms, driver=ohms), "tile_rows": 9})
    network = chip.network.with_weights(chip.network.weights, (np.ones(5), np.ones(3))).with_options(a=1.2, gamma=0.8)
    made = Design(network, chip.technology.model_copy(update={"array": array})).chip(2)
    text = whole_chip(made, np.linspace(-1.0, 1.0, 20), recentre=True)["chip.cir"]
    code = check_portable(text)
    assert {line[0] for line in code} == {"R", "V", "X", "+"}
    # LTspice takes no two elements of one name.
    names = [line.split()[0].lower() for line in code if line[0] != "+"]
    assert len(names) == len(set(names))


BENCHES = {
    "test_opamp": {"rise_time": 116.6e-9, "slew_time": 0.3077e-6, "offset": 33e-3, "low_limit": -13.5,
                   "recovery": 0.3077e-6, "bias": 1e-3, "high_limit": 10.5, "from_positive": -11.9e-3,
                   "into_negative": 1.4e-3},
    "test_multiplier": {"ideal_v": -1.5, "real_v": -1.4942506, "square_v": 1.6, "cube_v": -0.64, "limit_v": 11.0,
                        "rise_time": 0.3497e-6, "from_positive": -4e-3, "into_negative": 5e-3},
    "test_fhn_neuron": {"twenty_periods": 38.22e-3, "rest_x": -5.0, "rest_y": -2.396},
    "test_tanh_pair": {"full": 39.98e-6, "half": 20.04e-6},
    "test_rectifier": {"blocked": -40.0025e-6, "high": 24e-6, "full": 40e-6, "more": 56e-6, "recovery": 1.35e-6},
    "test_row_driver": {"row_low": 0.2381, "row_high": 0.9524, "offset": 3.321e-3, "rise_time": 129.1e-9},
    "test_smoothing_driver": {"at_rest": 0.2381, "one_tau": 0.1505, "offset": 3.321e-3, "tone": 1.871e-3},
    "test_sample_hold": {"acquired": 0.3161, "kept": 0.5, "ramp_kept": 0.097, "with_offset": 0.501721, "droop": 2.4e-3,
                         "supply": -13.5e-3},
    "test_transimpedance": {"difference": 0.2, "gains": 0.15, "offsets": 3e-3},
    "test_ota_probe": {"unit": 0.5, "state": 1.5, "x_left": 0.4415, "y_left": 0.4047, "current": 40e-3, "supply": 1.8},
}  # fmt: skip

FULL_SCALE = 4.8e-9  # A, of the drive of a transistor neuron
# Value and tolerance of each measurement that a bench of transistors states; of charges from the supply a tenth.
TRANSISTOR_BENCHES: dict[str, dict[str, tuple[float, float]]] = {
    "test_ota_neuron": {
        "reference": (20e-9, 0.2e-9), "five_periods": (5 * 23.93e-6, 0.1e-6), "mean": (0.0, 2e-3 * FULL_SCALE),
        "rest": (-FULL_SCALE, 2e-3 * FULL_SCALE), "f": (2.60e-9, 0.01e-9), "g": (1.90e-9, 0.01e-9),
        "h": (-2.99e-9, 0.01e-9),
    },
    "test_ota_tanh": {
        "balance": (2.4e-9, 0.04e-9), "above": (3.509e-9, 0.04e-9), "below": (1.291e-9, 0.04e-9),
        "full": (FULL_SCALE, 0.01 * FULL_SCALE), "off": (0.0, 0.02e-9), "twice": (2 * FULL_SCALE, 0.096e-9),
        "settling": (6e-6, 2e-6),
    },
    "test_ota_ramp": {
        "nothing": (0.0, 0.02e-9), "full": (FULL_SCALE, 0.015 * FULL_SCALE), "centre": (2.4e-9, 0.08e-9),
        "below": (1.2e-9, 0.08e-9), "above": (3.6e-9, 0.08e-9), "exchanged": (3.6e-9, 0.08e-9),
        "settling": (13e-6, 5e-6),
    },
    "test_column_readout": {
        "gain": (258e-3, 2e-3), "common": (0.0, 10e-3), "remembered": (0.0, 2e-3), "ground": (0.2, 0.1e-3),
        "shifted": (0.198, 0.3e-3), "droop": (0.0, 0.1e-3), "charge": (-5 * 97e-12, 50e-12),
    },
    "test_integrate_hold": {
        "full": (346.2e-3, 0.3e-3), "half": (173.3e-3, 0.3e-3), "offset": (0.0, 2e-3), "opening": (0.0, 1e-3),
        "droop": (0.0, 0.1e-3), "away": (1.2, 1e-3),
    },
    "test_ota_row_driver": {
        "qa": (0.0, 1e-15), "qb": (10.28e-12, 0.03e-12), "qc": (20.54e-12, 0.03e-12), "shift": (10e-9, 1e-9),
        "width_half": (0.5136e-6, 1e-9), "width_full": (1.027e-6, 1e-9), "load": (0.976, 2e-3),
        "charge": (-5 * 6e-12, 3e-12),
    },
}  # fmt: skip


@needs_ngspice
@pytest.mark.parametrize("name", BENCHES)
def test_benches_run_alone_and_give_what_they_say(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "netlists"
    shutil.copytree(resource("netlists"), folder)
    run = batch(folder / f"{name}.cir")
    assert run.returncode == 0, run.stderr
    found = measured(run.stdout)
    for key, value in BENCHES[name].items():
        assert found[key] == pytest.approx(value, rel=0.02 if key == "recovery" else 1e-3), key
    if name == "test_fhn_neuron":
        assert abs(found["mean_x1"]) < 0.02
    if name == "test_rectifier":
        assert found["middle"] == pytest.approx(-0.234e-9, rel=0.02)
        assert found["blocked"] == pytest.approx(-40.0025e-6, abs=0.1e-9)
        assert found["follower"] - found["middle"] == pytest.approx(80e-9, rel=2e-3)
        assert found["clamp"] - found["full"] == pytest.approx(80e-9, rel=2e-3)
    if name == "test_tanh_pair":
        assert found["positive"] == pytest.approx(18.48e-6, abs=0.2e-6)
        assert found["negative"] == pytest.approx(-18.48e-6, abs=0.2e-6)
        assert found["with_offset"] - found["without"] == pytest.approx(0.772e-6, rel=2e-3)
        for name in ("tail", "feed"):
            assert found[name] / found["full"] == pytest.approx(1.0804, rel=2e-3)


@needs_ngspice
@needs_models
@pytest.mark.parametrize("name", TRANSISTOR_BENCHES)
def test_benches_of_transistors_run_alone_and_give_what_they_say(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "netlists"
    shutil.copytree(resource("netlists"), folder)
    kit = KITS["gf180mcu"]
    (folder / kit.library).write_text(kit.devices_text(kit.found(), "typical"))
    (folder / ".spiceinit").write_text("set num_threads=1\n")
    run = batch(folder / f"{name}.cir")
    assert run.returncode == 0, run.stderr
    found = measured(run.stdout)
    for key, (value, tolerance) in TRANSISTOR_BENCHES[name].items():
        assert found[key] == pytest.approx(value, abs=tolerance), key
    match name:
        case "test_ota_neuron":
            assert found["copy_poa"] - found["g"] == pytest.approx(0.085e-9, abs=0.002e-9)
            assert found["copy_nob"] - found["g"] == pytest.approx(0.086e-9, abs=0.002e-9)
            assert found["copy_low"] == pytest.approx(found["g_zero"], abs=1e-3 * FULL_SCALE)
            # f and h each contain the current at the reference
            assert found["both"] == pytest.approx(found["f"] + found["h"] + 0.14e-9, abs=3e-3 * FULL_SCALE)
        case "test_ota_tanh":
            assert found["threshold"] == pytest.approx(found["same_input"], rel=1e-3)
            assert found["mobility"] == pytest.approx(1.02 * found["full"], rel=1e-3)
            assert found["higher"] == pytest.approx(found["full"], rel=1e-3)
            assert found["settled"] == pytest.approx(found["balance"], rel=1e-3)
        case "test_ota_ramp":
            assert found["threshold"] == pytest.approx(found["same_input"], rel=1e-3)
            assert found["less_kept"] - found["nothing"] == pytest.approx(-0.02e-9, abs=0.002e-9)


def test_every_library_has_a_bench() -> None:
    assert {path.stem for path in resource("netlists").glob("test_*.cir")} == {*BENCHES, *TRANSISTOR_BENCHES}
    assert set(BENCHES) == {f"test_{name.removesuffix('.lib')}" for name in BOARD}
    included = set()
    for name in TRANSISTOR_BENCHES:
        text = resource("netlists", f"{name}.cir").read_text(encoding="ascii")
        included |= set(re.findall(r"^\.include (\S+)$", text, re.MULTILINE))
    # Benches state what they give with the devices of one foundry.
    assert included == {*TRANSISTORS} - DEVICES | {"gf180mcu.lib"}


def test_every_library_is_needed_by_a_chip(chip: ManufacturedChip) -> None:
    deeper = Network.of_weights((np.ones((3, 2)), np.ones((2, 2)), np.ones((2, 2))))
    kernel = Convolution(np.ones((4, 2)), None, "relu", "tanh", 4.0, Patches((2, 3, 1), (2, 2)))
    held = Network((kernel, Dense(np.ones((4, 2)))))
    both = [chip_libraries(one) for one in (chip, *(Design(one, chip.technology).chip(None) for one in (deeper, held)))]
    assert set().union(*both) == set(BOARD) - {"ota_probe.lib"}
    assert "smoothing_driver.lib" not in both[0]


@needs_models
def test_every_library_of_transistors_is_needed_by_a_chip() -> None:
    weights = np.ones((3, 2)), np.ones((2, 2))
    relu = Network((Dense(weights[0], None, "relu", "tanh", 2.0), Dense(weights[1])))
    technology = Technology.load("silicon")
    names = set()
    for network in (Network.of_weights(weights), relu):
        names |= set(chip_libraries(Design(network, technology).chip(None)))
    # The devices have the path of the models in them, and so another name.
    assert names - {"devices.lib"} == {*TRANSISTORS, "ota_probe.lib"} - DEVICES


SUPPLIES = ("Vcc vcc 0 15", "Vee vee 0 -15")


@needs_ngspice
@pytest.mark.parametrize(("gbw", "slew", "gain"), [(3e6, 13e6, 2e5), (8e6, 20e6, 1e4)])
def test_opamp_keeps_its_parameters(gbw: float, slew: float, gain: float, tmp_path: Path) -> None:
    amp = f"vcc vee opamp PARAMS: gbw={gbw} slew={slew} gain={gain}"
    found = measure(
        tmp_path,
        *SUPPLIES,
        "* a small step through gain 5: time constant 5/(2 pi gbw)",
        "Vs a 0 PULSE(0 1e-3 1e-6 1e-10 1e-10 1 2)",
        f"X1 a fa small {amp}", "R1 fa 0 1e3", "R2 small fa 4e3",
        "* a large step through a follower",
        "Vl b 0 PULSE(-5 5 1e-6 1e-10 1e-10 1 2)",
        f"X2 b large large {amp} vout0=-5",
        "* open loop: 10 uV of input, at its final value from the start",
        "Vo c 0 1e-5",
        f"X3 c 0 open {amp} vout0={1e-5 * gain}",
        ".tran 1e-9 5e-6 0 5e-9 uic",
        ".meas tran final FIND v(small) AT=5e-6",
        ".meas tran tau TRIG v(small) VAL=1e-9 RISE=1 TARG v(small) VAL=3.1606e-3 RISE=1",
        ".meas tran slope_time TRIG v(large) VAL=-2 RISE=1 TARG v(large) VAL=2 RISE=1",
        ".meas tran open FIND v(open) AT=5e-6",
    )  # fmt: skip
    assert found["tau"] == pytest.approx(5 / (2 * np.pi * gbw), rel=0.01)
    assert 4.0 / found["slope_time"] == pytest.approx(slew, rel=0.01)
    assert found["open"] == pytest.approx(1e-5 * gain, rel=1e-3)


@needs_ngspice
def test_opamp_offset_and_limits_without_wind_up(tmp_path: Path) -> None:
    found = measure(
        tmp_path,
        *SUPPLIES,
        "X1 0 s1 off vcc vee opamp PARAMS: vos=-4e-3 vout0=-0.024", "R1 s1 0 1e3", "R2 off s1 5e3",
        "* driven into the upper limit for 1 ms; must leave it at the slew rate at once",
        "Vi a 0 PULSE(-3 0.5 1e-3 1e-9 1e-9 1 2)",
        "X2 0 s2 clip vcc vee opamp PARAMS: drop_high=3 vout0=12", "R3 a s2 1e3", "R4 clip s2 10e3",
        ".tran 1e-8 1.01e-3 0 1e-6 uic",
        ".meas tran node FIND v(s1) AT=0.9e-3",
        ".meas tran offset FIND v(off) AT=0.9e-3",
        ".meas tran high FIND v(clip) AT=0.9e-3",
        ".meas tran highest MAX v(clip)",
        ".meas tran left WHEN v(clip)=11.5 FALL=1",
    )  # fmt: skip
    assert found["node"] == pytest.approx(-4e-3, rel=1e-3), "the summing node sits at +vos"
    assert found["offset"] == pytest.approx(-0.024, rel=1e-3)
    assert found["high"] == pytest.approx(12.0, abs=0.02)
    assert found["highest"] < 12.05
    assert found["left"] - 1e-3 < 0.1e-6


@needs_ngspice
@pytest.mark.parametrize("celsius", [-73.15, 26.85, 126.85])
@pytest.mark.parametrize("kind", ["opamp", "multiplier"])
def test_output_limits_follow_the_supplies(kind: str, celsius: float, tmp_path: Path) -> None:
    """Supplies of +-12 V that fall to +9 and -8 V, while the input asks for +-20 V and more."""
    part = "X1 inp 0 w vcc vee opamp" if kind == "opamp" else "X1 big ten w vcc vee multiplier"
    found = measure(
        tmp_path,
        "Vp vcc 0 PULSE(12 9 40e-6 1e-6 1e-6 1 2)", "Vm vee 0 PULSE(-12 -8 40e-6 1e-6 1e-6 1 2)",
        "Vi inp 0 PULSE(-1 1 20e-6 1e-9 1e-9 20e-6 40e-6)", "Eb big 0 inp 0 20", "Vt ten 0 10",
        f"{part} PARAMS: drop_high=1.5 drop_low=2",
        f".options temp={celsius}",
        ".tran 1e-8 80e-6 0 1e-7 uic",
        *(f".meas tran w{k} FIND v(w) AT={t}e-6" for k, t in enumerate((19, 39, 59, 79))),
    )  # fmt: skip
    limits = [-12 + 2, 12 - 1.5, -8 + 2, 9 - 1.5]
    assert [found[f"w{k}"] for k in range(4)] == pytest.approx(limits, abs=0.03)


@needs_ngspice
def test_bias_current_flows_into_both_inputs(tmp_path: Path) -> None:
    found = measure(
        tmp_path,
        *SUPPLIES,
        "* a follower behind 2 Mohm: -2 Mohm * 3 nA; then the feedback's 1 Mohm gives it back in part",
        "Rs src 0 2e6", "X1 src f1 o1 vcc vee opamp PARAMS: ib=3e-9 vout0=-3e-3", "R1 o1 f1 1e6",
        ".tran 1e-7 1e-3 0 1e-6 uic",
        ".meas tran plus FIND v(src) AT=1e-3",
        ".meas tran out FIND v(o1) AT=1e-3",
    )  # fmt: skip
    assert found["plus"] == pytest.approx(-6e-3, rel=1e-3)
    assert found["out"] == pytest.approx(-6e-3 + 3e-3, rel=1e-3)


@needs_ngspice
@pytest.mark.parametrize("kind", ["opamp", "multiplier"])
@pytest.mark.parametrize("volts", [-7.0, -0.5, 0.0, 0.5, 7.0])
def test_supplies_carry_quiescent_and_load_current(kind: str, volts: float, tmp_path: Path) -> None:
    part = "X1 a w w vcc vee opamp" if kind == "opamp" else "X1 a ten w vcc vee multiplier"
    start = "vout0" if kind == "opamp" else "w0"
    found = measure(
        tmp_path,
        *SUPPLIES,
        f"Va a 0 {number(volts)}", "Vt ten 0 10", f"{part} PARAMS: iq=2.5e-3 {start}={number(volts)}",
        "Rl w 0 700",
        ".tran 1e-8 1e-5 0 1e-7 uic",
        ".meas tran plus FIND i(vcc) AT=1e-5",
        ".meas tran minus FIND i(vee) AT=1e-5",
    )  # fmt: skip
    load = volts / 700
    # The follower's finite gain (2e5) and the simulator's tolerance.
    assert -found["plus"] == pytest.approx(2.5e-3 + max(load, 0.0), abs=2e-7)
    assert found["minus"] == pytest.approx(2.5e-3 + max(-load, 0.0), abs=2e-7)


@needs_ngspice
@pytest.mark.parametrize("seed", range(3))
def test_multiplier_follows_its_formula(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-7, 7, 2)
    scale_error, x_os, y_os, z_os = rng.normal(0, 0.02, 4)
    w = (1 + scale_error) * (x + x_os) * (y + y_os) / 10 + z_os
    errors = {"scale_error": scale_error, "x_os": x_os, "y_os": y_os, "z_os": z_os, "w0": w}
    parameters = " ".join(f"{name}={number(value)}" for name, value in errors.items())
    found = measure(
        tmp_path,
        *SUPPLIES,
        f"Vx x 0 {number(x)}", f"Vy y 0 {number(y)}", f"X1 x y w vcc vee multiplier PARAMS: {parameters}",
        "Vb big 0 -30", "Vc c 0 30", "X2 big c low vcc vee multiplier PARAMS: drop_low=6 w0=-9",
        ".tran 1e-8 1e-5 0 1e-7 uic",
        ".meas tran w FIND v(w) AT=1e-5",
        ".meas tran low FIND v(low) AT=1e-5",
    )  # fmt: skip
    assert found["w"] == pytest.approx(w, abs=2e-6)
    assert found["low"] == pytest.approx(-9.0, abs=0.03), "saturates"


@needs_ngspice
def test_multiplier_bandwidth(tmp_path: Path) -> None:
    found = measure(
        tmp_path,
        *SUPPLIES,
        "Vx x 0 SIN(0 1 4e5)", "Vy y 0 10", "X1 x y w vcc vee multiplier PARAMS: bw=4e5",
        ".tran 1e-8 3e-5 0 5e-9 uic",
        ".meas tran high MAX v(w) FROM=2e-5 TO=3e-5",
    )  # fmt: skip
    assert found["high"] == pytest.approx(np.sqrt(0.5), rel=2e-3)


def pair_currents(
    folder: Path, cases: list[tuple[float, str]], celsius: float = 26.85, rail: float = 15.0
) -> FloatArray:
    """Output currents of tanh pairs, each with its own (input voltage, parameters)."""
    lines = [f"Vcc vcc 0 {number(rail)}", f"Vee vee 0 {number(-rail)}"]
    for k, (volts, parameters) in enumerate(cases):
        lines += [
            f"Vz{k} z{k} 0 {number(volts)}",
            f"X{k} z{k} 0 o{k} vcc vee tanh_pair" + (f" PARAMS: {parameters}" if parameters else ""),
            f"Vo{k} o{k} 0 0",
        ]
    options = f".options abstol=1e-15 temp={celsius} tnom=26.85"
    found = measure(
        folder, *lines, options, ".tran 1e-6 1e-4 0 1e-6 uic",
        *(f".meas tran out{k} FIND i(Vo{k}) AT=1e-4" for k in range(len(cases))),
    )  # fmt: skip
    return np.array([found[f"out{k}"] for k in range(len(cases))])


# With this much input one transistor of the pair has all the tail current: tanh(20/(38.7 * 2 * 0.02585)) = 1 - 4e-9.
ONE_SIDE = 20.0
V_T = 8.617333262e-5 * 300.0


@needs_ngspice
@pytest.mark.parametrize("kelvin", [260.0, 300.0, 340.0])
@pytest.mark.parametrize("parameters", ["", "rabc=171e3", "rabc=1.37e7"])
def test_tanh_pair_follows_tanh(parameters: str, kelvin: float, tmp_path: Path) -> None:
    z = np.linspace(-4.0, 4.0, 17)
    out = pair_currents(tmp_path, [(value, parameters) for value in z], celsius=kelvin - 273.15)
    curve = np.tanh(z / 38.7 / (2 * V_T * kelvin / 300.0))
    tail = out @ curve / (curve @ curve)
    assert np.max(np.abs(out - tail * curve)) < 5e-3 * tail


@needs_ngspice
@pytest.mark.parametrize(("bn", "bp", "vaf"), [(200.0, 100.0, 100.0), (100.0, 50.0, 100.0), (300.0, 150.0, 60.0)])
def test_tanh_pair_tail_base_currents_and_early_effect(bn: float, bp: float, vaf: float, tmp_path: Path) -> None:
    """Full output current: what flows through rabc, less base current, times the mirrors' Early ratio."""
    rabc = 342.5e3
    (out,) = pair_currents(tmp_path, [(ONE_SIDE, f"bn={bn} bp={bp} vaf={vaf}")])
    through = 40e-6
    for _ in range(5):
        through = (15.0 - 2 * V_T * np.log(through / 5e-16)) / rabc
    be = V_T * np.log(through / 5e-16)
    base1 = ONE_SIDE / 38.7
    # beta grows with V_CB/vaf: in Q1, whose collector sits 2 V_BE below 15 V, and in both mirrors' output transistors
    beta = bn * (1 + (15.0 - 2 * be - base1) / vaf)
    tail, feed = (base1 - be + 15.0 - 2 * be) / vaf, (15.0 - 2 * be) / vaf
    ratios = (1 + 2 / bn * tail / (1 + tail)) * (1 + 2 / bp * feed / (1 + feed))
    expected = through * beta / (beta + 1) * ratios
    # Left out: terms of second order, (2/50)^2 = 1.6e-3 at the smallest beta.
    assert out == pytest.approx(expected, rel=max(5e-4, (2 / bp) ** 2))


@needs_ngspice
@pytest.mark.parametrize("rail", [12.0, 13.5, 16.5])
def test_tanh_pair_tail_follows_the_supply(rail: float, tmp_path: Path) -> None:
    out, nominal = (pair_currents(tmp_path, [(ONE_SIDE, "")], rail=v)[0] for v in (rail, 15.0))
    # 2 V_BE = 1.298 V at 40 uA moves by 2 V_T times the logarithm of the change; the Early effect by another 3e-4.
    ratio = (rail - 1.298) / (15 - 1.298)
    ratio = (rail - 1.298 - 2 * V_T * np.log(ratio)) / (15 - 1.298)
    assert out / nominal == pytest.approx(ratio, rel=1e-3)


@needs_ngspice
@pytest.mark.parametrize("tail_current", [0.1e-6, 4e-6, 40e-6, 80e-6])
def test_mirror_ratios_are_exponentials_of_their_mismatch(tail_current: float, tmp_path: Path) -> None:
    rabc = f"rabc={number(13.7 / tail_current)}"
    mismatches = {"dvbe_tail": 1, "dvbe_source": 1, "dvbe_sink": -1}
    cases = [(side * ONE_SIDE, rabc) for side in (1, -1)]
    cases += [
        (side * ONE_SIDE, f"{rabc} {name}={sign}1e-3")
        for name, side in mismatches.items()
        for sign in ("", "-")
    ]  # fmt: skip
    high, low, *out = pair_currents(tmp_path, cases)
    for k, (name, side) in enumerate(mismatches.items()):
        ratios = np.array(out[2 * k : 2 * k + 2]) / (high if side > 0 else low)
        # 1 mV is five times the mismatch that is typical within a package.
        np.testing.assert_allclose(ratios, np.exp(np.array([1e-3, -1e-3]) / V_T), rtol=1e-3, err_msg=name)
    # ... and each acts on its own side only
    for name, side in (("dvbe_source", -1), ("dvbe_sink", 1)):
        (other,) = pair_currents(tmp_path, [(side * ONE_SIDE, f"{rabc} {name}=1e-3")])
        # 15 V on the simulator's gmin of 1e-12 S are 1.5e-4 of 0.1 uA.
        assert other == pytest.approx(high if side > 0 else low, rel=2e-4), name


@needs_ngspice
@pytest.mark.parametrize("volts", [-2e-3, 0.4e-3, 2e-3])
def test_pair_offset_shifts_its_curve(volts: float, tmp_path: Path) -> None:
    """An offset in series with base 1 is a signal of 38.7 times its size at the attenuator."""
    with_offset, instead = pair_currents(tmp_path, [(0.5, f"vos={number(volts)}"), (0.5 + 38.7 * volts, "")])
    assert with_offset == pytest.approx(instead, abs=1e-5 * 40e-6)


@needs_ngspice
@pytest.mark.parametrize("seed", range(3))
def test_row_driver_follows_its_formula(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    v_in, v_shift = rng.uniform(-8, 8), rng.choice([-10.0, 10.0])
    rin, rf, rshift = rng.uniform(50e3, 200e3), rng.uniform(3e3, 20e3), rng.uniform(80e3, 300e3)
    vos, ib = rng.normal(0, 5e-3), 1e-8
    values = {"rin": rin, "rf": rf, "rshift": rshift, "vos": vos, "ib": ib}
    found = measure(
        tmp_path,
        *SUPPLIES,
        f"Vi a 0 {number(v_in)}", f"Vs s 0 {number(v_shift)}",
        "X1 a row s vcc vee row_driver PARAMS: " + " ".join(f"{k}={number(v)}" for k, v in values.items()),
        ".tran 1e-8 2e-5 0 1e-7 uic",
        ".meas tran row FIND v(row) AT=2e-5",
    )  # fmt: skip
    row = -rf / rin * v_in - rf / rshift * v_shift + vos * (1 + rf / rin + rf / rshift) + ib * rf
    # Finite gain: noise gain below 1.6 over 2e5, of 4 V at most.
    assert found["row"] == pytest.approx(row, abs=4e-5)


@needs_ngspice
@pytest.mark.parametrize("seed", range(3))
def test_smoothing_driver_comes_to_the_row_drivers_level_with_its_time_constant(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    v_in, v_shift = rng.uniform(2, 8), rng.choice([-10.0, 10.0])
    rin, rf, rshift = rng.uniform(50e3, 200e3), rng.uniform(3e3, 20e3), rng.uniform(80e3, 300e3)
    vos, tau = rng.normal(0, 5e-3), 1e-3
    values = {"rin": rin, "rf": rf, "rshift": rshift, "cf": tau / rf, "vos": vos, "ib": 1e-8}
    times = (0.2, 1.0, 3.0, 20.0)
    found = measure(
        tmp_path,
        *SUPPLIES,
        f"Vi a 0 {number(v_in)}", f"Vs s 0 {number(v_shift)}",
        "X1 a row s vcc vee smoothing_driver PARAMS: " + " ".join(f"{k}={number(v)}" for k, v in values.items()),
        ".tran 1e-6 2.01e-2 0 1e-5 uic",
        *(f".meas tran row{k} FIND v(row) AT={number(t * tau)}" for k, t in enumerate(times)),
    )  # fmt: skip
    row = -rf / rin * v_in - rf / rshift * v_shift + vos * (1 + rf / rin + rf / rshift) + 1e-8 * rf
    # At the first instant the summing node goes from 0 V to the offset, and the row with it. The amplifier's bandwidth
    # of 3 MHz delays all by 0.1 us.
    for k, t in enumerate(times):
        assert found[f"row{k}"] == pytest.approx(row + (vos - row) * np.exp(-t), abs=5e-5 + 2e-4 * abs(row)), t


@needs_ngspice
@pytest.mark.parametrize("seed", range(3))
def test_transimpedance_follows_its_formula(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    rf, ra, rb = rng.uniform(500.0, 3e3, 3)
    g_plus, g_minus = rng.uniform(1e-4, 1e-3, 2)
    dark_plus, dark_minus = rng.uniform(1e-3, 1e-2, 2)  # rows at 0 V: no signal, but noise gain
    vos1, vos2 = rng.normal(0, 3e-3, 2)
    ib = 1e-7
    values = {"rf": rf, "ra": ra, "rb": rb, "vos1": vos1, "vos2": vos2, "ib": ib}
    found = measure(
        tmp_path,
        *SUPPLIES,
        "Vr row 0 1",
        f"R1 row p {number(1 / g_plus)}", f"R2 row n {number(1 / g_minus)}",
        f"R3 0 p {number(1 / dark_plus)}", f"R4 0 n {number(1 / dark_minus)}",
        "X1 p n out vcc vee transimpedance PARAMS: " + " ".join(f"{k}={number(v)}" for k, v in values.items()),
        ".tran 1e-7 1e-4 0 1e-6 uic",
        ".meas tran out FIND v(out) AT=1e-4",
    )  # fmt: skip
    first = -rf * g_plus + vos1 * (1 + rf * (g_plus + dark_plus)) + ib * rf
    out = -rb / ra * first - rb * g_minus + vos2 * (1 + rb / ra + rb * (g_minus + dark_minus)) + ib * rb
    # Finite gain: noise gains below 40 over 2e5, of 3 V at most, through a second gain of 6 at most.
    assert found["out"] == pytest.approx(out, abs=3e-4 * max(1.0, rb / ra))


def test_deck_carries_every_component_exactly(cells: CircuitCells) -> None:
    deck = neuron_deck(cells, 3, -0.7, Protocol())
    written = {name: float(value) for name, value in re.findall(r"(\w+)=([-+.\de]+)", deck.split("Xneuron")[1])}
    for name, values in groups(cells)[0].items():
        assert written[name] == values[3], name
    (drive,) = re.findall(r"^Idrive sum2 0 (\S+)$", deck, re.MULTILINE)
    assert float(drive) == pytest.approx(-0.7 * cells.cell.volts_per_x / 100e3, rel=1e-15)
    assert re.search(r"^\.tran 5e-05 0.3\d* 0 5e-05 uic$", deck, re.MULTILINE)
    assert "error" not in deck.splitlines()[0].lower()


def test_deck_follows_the_conditions(cells: CircuitCells) -> None:
    cell = replace(cells.cell, technology=cells.cell.technology.under(temperature=320.0, supply=0.9))
    deck = neuron_deck(replace(cells, cell=cell), 0, -1.0, Protocol())
    sources = dict(re.findall(r"^V(cc|ee|ref) \S+ 0 (\S+)$", deck, re.MULTILINE))
    # 15 V, -15 V and a reference of its own
    assert {k: float(v) for k, v in sources.items()} == {"cc": 13.5, "ee": -13.5, "ref": -10.0}
    assert ".options temp=46.85 tnom=26.85" in deck
    assert float(re.findall(r"\bib=(\S+)", deck)[-1]) == pytest.approx(30e-12 * 4), "30 pA doubles every 10 K"
    # 13.5 V and 11 V on nominal supplies; the distance stays
    assert float(re.findall(r"\bdrop_high=(\S+)", deck)[-1]) == pytest.approx(1.5)
    assert float(re.findall(r"\bm_drop_low=(\S+)", deck)[-1]) == pytest.approx(4.0)


@needs_ngspice
@pytest.mark.parametrize("recentre", [True, False])
@pytest.mark.parametrize("hidden", ["sigmoid", "tanh"])
@pytest.mark.parametrize(("a", "gamma", "z"), [(1.0, -1.0, -1.5), (0.4, 0.8, 3.0)])
def test_cell_goes_from_its_pre_activation_to_its_row(
    a: float, gamma: float, z: float, hidden: Activation, recentre: bool, tmp_path: Path
) -> None:
    """A cell at rest against the algebra of its stages; the signs of both gains and of both shifts."""
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(4, 3)), rng.normal(size=(3, 2))
    network = Network.of_weights(weights, fhn=FHN(a=a, gamma=gamma), hidden=hidden)
    cells = Design(network, Technology.load("discrete")).chip(5).hardware[0].cells
    layout = cells.cell
    assert isinstance(layout, OpAmpFHN)
    for name in LIBRARIES:
        shutil.copyfile(resource("netlists", name), tmp_path / name)
    deck = tmp_path / "cell.cir"
    protocol = Protocol(settle=60.0, control=2.0)
    deck.write_text(cell_deck(cells, 1, z, protocol, recentre=recentre, inline=False, data_file="cell.txt"))
    run = batch(deck)
    assert run.returncode == 0, run.stderr
    found = measured(run.stdout)
    x = found["mean_vx"] / layout.scales.sx
    drive = cells.drive_stage.drives(np.full(3, z))
    assert abs(a + drive[1]) > 1.05, "rests"
    # The pair's formula holds within 0.1 % of full scale, and a rest point moves as the drive.
    assert x == pytest.approx(cells.dynamics.rest_point(drive)[0][1], abs=1e-3)
    stage, volts, nominal = cells.row_stage, found["mean_vrow"], layout.drivers
    if recentre:
        h = volts * abs(recentring(hidden, a, gamma)[0]) / float((nominal.rf / nominal.rin)[0] * layout.scales.sx)
        assert h == pytest.approx(stage.gain[1] * x + stage.offset[1], abs=1e-4)
    else:
        per_unit = (nominal.rf / nominal.rin)[0] * layout.scales.sx
        assert volts / per_unit == pytest.approx(stage.raw_gain[1] * x + stage.raw_offset[1], abs=1e-4)


@needs_ngspice
def test_cell_oscillates_as_its_neuron_does_under_the_pairs_current(cells: CircuitCells, tmp_path: Path) -> None:
    """The same neuron with the pair's current measured alone, instead of the pair."""
    protocol = Protocol(settle=8.0, control=20.0, interval=0.005)
    pair = " ".join(f"{name}={number(values[2])}" for name, values in groups(cells)[1].items())
    (current,) = pair_currents(tmp_path, [(1.2, f"{pair} isat=5e-16 vaf=100")])
    drive = -current / cells.cell.drive_current(1.0)
    waves = []
    for name, text in (
        ("cell", cell_deck(cells, 2, 1.2, protocol, inline=False, data_file="cell.txt")),
        ("neuron", neuron_deck(cells, 2, drive, protocol, inline=False, data_file="neuron.txt")),
    ):
        (tmp_path / f"{name}.cir").write_text(text)
        run = batch(tmp_path / f"{name}.cir")
        assert run.returncode == 0, run.stderr
        time, vx, *_ = np.loadtxt(tmp_path / f"{name}.txt", skiprows=1, unpack=True)
        cycle = cycle_from_samples(time[time > 8e-3] / 1e-3, vx[time > 8e-3] / cells.cell.volts_per_x)
        assert cycle is not None
        waves.append(cycle)
    # Each deck's own settings leave 1e-4.
    assert waves[0].period == pytest.approx(waves[1].period, rel=3e-4)


def test_cell_deck_needs_components(cells: CircuitCells) -> None:
    for ideal in (Cells.ideal("sigmoid", FHN(), 1), cells.with_ideal_stages()):
        with pytest.raises(InputError, match="technology"):
            cell_deck(ideal, 0, 1.0, Protocol())


def test_deck_refuses_what_cannot_be_simulated(cells: CircuitCells) -> None:
    ideal = Cells.ideal("sigmoid", FHN(), 1)
    with pytest.raises(InputError, match="technology"):
        neuron_deck(ideal, 0, -1.0, Protocol())
    with pytest.raises(InputError, match="linear range"):
        neuron_deck(cells, 0, -1.0, Protocol(x0=-3.0))
    with pytest.raises(ValueError, match="finite"):
        neuron_deck(cells, 0, float("nan"), Protocol())
    with pytest.raises(ValueError, match="finite"):
        number(float("inf"))


def test_drives_of_another_chip_are_refused(chip: ManufacturedChip, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shape"):
        write_chip(chip, [np.zeros(4)], tmp_path, {})


def written_neurons(chip: ManufacturedChip, drives: FloatArray, protocol: Protocol, folder: Path) -> list[Path]:
    """Decks of the neurons in an exported folder."""
    names = write_chip(replace(chip, network=replace(chip.network, protocol=protocol)), [drives], folder, {})
    return [folder / name for name in names if name.endswith(".cir")]


@needs_ngspice
def test_exported_decks_run_alone(cells: CircuitCells, chip: ManufacturedChip, tmp_path: Path) -> None:
    protocol = Protocol(settle=5.0, control=10.0, interval=0.1)
    drives = np.array([-1.0, -0.5, 0.2, -1.4, -0.1])
    decks = written_neurons(chip, drives, protocol, tmp_path / "new" / "folder")
    assert [deck.name for deck in decks] == [f"neuron_{k:03d}.cir" for k in range(5)]
    response = Spice().respond(cells, drives[np.newaxis], protocol, samples=True)
    assert response.samples is not None
    for k, deck in enumerate(decks):
        run = batch(deck)
        assert run.returncode == 0, run.stderr
        mean = measured(run.stdout)["mean_vx"] / cells.cell.volts_per_x
        assert mean == pytest.approx(response.mean[0, k], abs=2e-4)
        time, vx, _vy = np.loadtxt(deck.with_suffix(".txt"), skiprows=1, unpack=True)
        assert time[1] - time[0] == pytest.approx(1e-4)
        samples = np.interp(protocol.sample_times * 1e-3, time, vx) / cells.cell.volts_per_x
        np.testing.assert_allclose(samples, response.samples[:, 0, k], atol=1e-3)


@needs_ngspice
def test_exported_deck_that_stops_early_ends_with_a_status(chip: ManufacturedChip, tmp_path: Path) -> None:
    (deck, *_) = written_neurons(chip, np.full(5, -1.0), Protocol(settle=1.0, control=2.0), tmp_path)
    deck.write_text(deck.read_text().replace(".tran 5e-05 0.003", ".tran 5e-05 0.002"))
    assert batch(deck).returncode == 1


@needs_ngspice
def test_settle_zero_is_exported_too(cells: CircuitCells, chip: ManufacturedChip, tmp_path: Path) -> None:
    protocol = Protocol(settle=0.0, control=3.0)
    (deck, *_) = written_neurons(chip, np.full(5, -1.0), protocol, tmp_path)
    run = batch(deck)
    assert run.returncode == 0
    mean = Spice(workers=1).respond(cells[:1], np.array([[-1.0]]), protocol).mean[0, 0]
    assert measured(run.stdout)["mean_vx"] / cells.cell.volts_per_x == pytest.approx(mean, abs=1e-5)


@needs_ngspice
def test_every_component_of_the_neuron_acts() -> None:
    """The macro-model uses each parameter: changing any one moves the waveform."""
    technology = Technology.load("discrete")
    names = [field.name for field in fields(NeuronParts)]
    network = Network.of_weights((np.ones((1, len(names) + 1)), np.ones((len(names) + 1, 2))))
    nominal = Design(network, technology).chip(None).hardware[0].cells
    neurons, *others = nominal.parts
    values = {name: value.copy() for name, value in neurons.items()}
    for k, name in enumerate(names):
        values[name][k] = values[name][k] * 1.05 or 0.1
    cells = replace(nominal, parts=(NeuronParts(**values), *others))
    drives = np.full((1, len(names) + 1), -1.0)
    mean = Spice().respond(cells, drives, Protocol(settle=0.0, control=2.0)).mean[0]
    assert min(np.abs(mean[:-1] - mean[-1])) > 1e-4
