import re
import shutil
import subprocess
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from analog_fhn.backends.spice import Spice
from analog_fhn.circuit.chip import Chip
from analog_fhn.circuit.design import Design
from analog_fhn.circuit.netlist import LIBRARIES, neuron_deck, number, write_neuron_netlists
from analog_fhn.circuit.neuron import NeuronParts
from analog_fhn.circuit.technology import Technology
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import Protocol
from analog_fhn.resources import resource

needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is not installed")


@pytest.fixture(scope="module")
def chip() -> Chip:
    rng = np.random.default_rng(0)
    network = Network((rng.normal(size=(20, 5)), rng.normal(size=(5, 3))))
    return Design(network, Technology.load("discrete")).chip(1)


def batch(deck: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ngspice", "-b", deck.name], cwd=deck.parent, capture_output=True, text=True, timeout=120)


def measured(output: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^(\w+) += +(\S+)", output, re.MULTILINE)}


def measure(folder: Path, *lines: str) -> dict[str, float]:
    for name in LIBRARIES:
        shutil.copyfile(resource("netlists", name), folder / name)
    deck = folder / "bench.cir"
    includes = [f".include {name}" for name in LIBRARIES]
    deck.write_text("\n".join(["bench", *includes, ".options reltol=1e-6", *lines, ".end", ""]))
    run = batch(deck)
    assert run.returncode == 0, run.stdout + run.stderr
    return measured(run.stdout)


@pytest.mark.parametrize("name", LIBRARIES)
def test_libraries_keep_to_what_three_simulators_share(name: str) -> None:
    text = resource("netlists", name).read_text(encoding="ascii")
    assert text.startswith("*")
    code = [line for line in text.splitlines() if line.strip() and not line.startswith("*")]
    for line in code:
        assert not re.search(r"\^|\*\*|//|\$|;", line), line
        assert not re.search(r"\b(limit|if|pow|pwr|agauss|gauss|trnoise|ddt|idt|log|ln|u|uramp)\s*\(", line, re.I), line
        assert not re.search(r"\b(gnd|poly|trnoise)\b", line, re.I), line
        assert not re.search(r"\d[munpfkgt]\b|\dmeg\b|\dmil\b", line, re.I), f"a number with a unit suffix: {line}"
        assert line[0].isalpha() or line[0] in ".+", line
        if line.startswith("."):
            assert line.split()[0] in (".subckt", ".ends", ".param", ".model"), line
        if line[0] in "EG" and "{" in line and "VALUE" not in line:
            assert re.fullmatch(r"[EG]\w+ \w+ \w+ \w+ \w+ \{[^}]*\}", line), line
        for function in re.findall(r"([A-Za-z]\w*)\(", line):
            assert function in ("tanh", "sqrt", "exp", "abs", "min", "max", "v", "D"), line
    assert sum(line.startswith(".subckt") for line in code) == 1


@needs_ngspice
@pytest.mark.parametrize("name", ["test_opamp", "test_multiplier", "test_fhn_neuron"])
def test_benches_run_alone_and_give_what_they_say(name: str, tmp_path: Path) -> None:
    expected = {
        "test_opamp": {"rise_time": 116.6e-9, "slew_time": 0.3077e-6, "offset": 33e-3, "low_limit": -13.5,
                       "recovery": 0.3077e-6},
        "test_multiplier": {"ideal_v": -1.5, "real_v": -1.4942506, "square_v": 1.6, "cube_v": -0.64, "limit_v": 11.0,
                            "rise_time": 0.3497e-6},
        "test_fhn_neuron": {"twenty_periods": 38.22e-3, "rest_x": -5.0, "rest_y": -2.396},
    }[name]  # fmt: skip
    folder = tmp_path / "netlists"
    shutil.copytree(resource("netlists"), folder)
    run = batch(folder / f"{name}.cir")
    assert run.returncode == 0, run.stderr
    found = measured(run.stdout)
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=0.02 if key == "recovery" else 1e-3), key
    assert abs(found.get("mean_x1", 0.0)) < 0.02


@needs_ngspice
@pytest.mark.parametrize(("gbw", "slew", "gain"), [(3e6, 13e6, 2e5), (8e6, 20e6, 1e4)])
def test_opamp_keeps_its_parameters(gbw: float, slew: float, gain: float, tmp_path: Path) -> None:
    amp = f"opamp PARAMS: gbw={gbw} slew={slew} gain={gain}"
    found = measure(
        tmp_path,
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
        "X1 0 s1 off opamp PARAMS: vos=-4e-3 vout0=-0.024", "R1 s1 0 1e3", "R2 off s1 5e3",
        "* driven into the upper limit for 1 ms; must leave it at the slew rate at once",
        "Vi a 0 PULSE(-3 0.5 1e-3 1e-9 1e-9 1 2)",
        "X2 0 s2 clip opamp PARAMS: vmax=12 vout0=12", "R3 a s2 1e3", "R4 clip s2 10e3",
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
        f"Vx x 0 {number(x)}", f"Vy y 0 {number(y)}", f"X1 x y w multiplier PARAMS: {parameters}",
        "Vb big 0 -30", "Vc c 0 30", "X2 big c low multiplier PARAMS: wmax=9 w0=-9",
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
        "Vx x 0 SIN(0 1 4e5)", "Vy y 0 10", "X1 x y w multiplier PARAMS: bw=4e5",
        ".tran 1e-8 3e-5 0 5e-9 uic",
        ".meas tran high MAX v(w) FROM=2e-5 TO=3e-5",
    )  # fmt: skip
    assert found["high"] == pytest.approx(np.sqrt(0.5), rel=2e-3)


def test_deck_carries_every_component_exactly(chip: Chip) -> None:
    assert chip.parts is not None
    deck = neuron_deck(chip, 3, -0.7, Protocol())
    written = {name: float(value) for name, value in re.findall(r"(\w+)=([-+.\de]+)", deck.split("Xneuron")[1])}
    for name, values in chip.parts.items():
        assert written[name] == values[3], name
    (drive,) = re.findall(r"^Idrive sum2 0 (\S+)$", deck, re.MULTILINE)
    assert chip.scales is not None
    assert float(drive) == pytest.approx(-0.7 * chip.scales.sx / 100e3, rel=1e-15)
    assert re.search(r"^\.tran 5e-05 0.3\d* 0 5e-05 uic$", deck, re.MULTILINE)
    assert "error" not in deck.splitlines()[0].lower()


def test_deck_refuses_what_cannot_be_simulated(chip: Chip) -> None:
    ideal = Chip.ideal(chip.network)
    with pytest.raises(InputError, match="technology"):
        neuron_deck(ideal, 0, -1.0, Protocol())
    with pytest.raises(InputError, match="linear range"):
        neuron_deck(chip, 0, -1.0, Protocol(x0=-3.0))
    with pytest.raises(ValueError, match="finite"):
        neuron_deck(chip, 0, float("nan"), Protocol())
    with pytest.raises(ValueError, match="finite"):
        number(float("inf"))
    with pytest.raises(ValueError, match="shape"):
        write_neuron_netlists(chip, np.zeros(4), Protocol(), Path("unused"))


@needs_ngspice
def test_exported_decks_run_alone(chip: Chip, tmp_path: Path) -> None:
    protocol = Protocol(settle=5.0, control=10.0, interval=0.1)
    drives = np.array([-1.0, -0.5, 0.2, -1.4, -0.1])
    decks = write_neuron_netlists(chip, drives, protocol, tmp_path / "new" / "folder")
    assert [deck.name for deck in decks] == [f"neuron_{k:03d}.cir" for k in range(5)]
    response = Spice().respond(chip, drives[np.newaxis], protocol, samples=True)
    assert response.samples is not None
    assert chip.scales is not None
    for k, deck in enumerate(decks):
        run = batch(deck)
        assert run.returncode == 0, run.stderr
        mean = measured(run.stdout)["mean_vx"] / chip.scales.sx
        assert mean == pytest.approx(response.mean[0, k], abs=2e-4)
        time, vx, _vy = np.loadtxt(deck.with_suffix(".txt"), skiprows=1, unpack=True)
        assert time[1] - time[0] == pytest.approx(1e-4)
        samples = np.interp(protocol.sample_times * 1e-3, time, vx) / chip.scales.sx
        np.testing.assert_allclose(samples, response.samples[:, 0, k], atol=1e-3)


@needs_ngspice
def test_exported_deck_that_stops_early_ends_with_a_status(chip: Chip, tmp_path: Path) -> None:
    (deck, *_) = write_neuron_netlists(chip, np.full(5, -1.0), Protocol(settle=1.0, control=2.0), tmp_path)
    deck.write_text(deck.read_text().replace(".tran 5e-05 0.003", ".tran 5e-05 0.002"))
    assert batch(deck).returncode == 1


@needs_ngspice
def test_settle_zero_is_exported_too(chip: Chip, tmp_path: Path) -> None:
    protocol = Protocol(settle=0.0, control=3.0)
    (deck, *_) = write_neuron_netlists(chip, np.full(5, -1.0), protocol, tmp_path)
    run = batch(deck)
    assert run.returncode == 0
    mean = Spice(workers=1).respond(chip.only(slice(0, 1)), np.array([[-1.0]]), protocol).mean[0, 0]
    assert chip.scales is not None
    assert measured(run.stdout)["mean_vx"] / chip.scales.sx == pytest.approx(mean, abs=1e-5)


@needs_ngspice
def test_every_component_of_the_neuron_acts() -> None:
    """The macro-model uses each parameter: changing any one moves the waveform."""
    technology = Technology.load("discrete")
    names = [field.name for field in fields(NeuronParts)]
    network = Network((np.ones((1, len(names) + 1)), np.ones((len(names) + 1, 2))))
    nominal = Design(network, technology).chip(None)
    assert nominal.parts is not None
    values = {name: value.copy() for name, value in nominal.parts.items()}
    for k, name in enumerate(names):
        values[name][k] = values[name][k] * 1.05 or 0.1
    chip = replace(nominal, parts=NeuronParts(**values))
    drives = np.full((1, len(names) + 1), -1.0)
    mean = Spice().respond(chip, drives, Protocol(settle=0.0, control=2.0)).mean[0]
    assert min(np.abs(mean[:-1] - mean[-1])) > 1e-4
