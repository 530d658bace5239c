"""What the pages "How to add ..." add: technologies, a device, readers and a backend, against independent results."""

from __future__ import annotations

import re
import wave
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from extras import EXTEND, install, metadata
from sweeps import digits, digits_network

from analog_fhn._support.plugins import plugin
from analog_fhn.checks.design import check
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import classify, make_backend
from analog_fhn.montecarlo.plan import Sweep
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.reconstruct.recordings.files import read_recording
from analog_fhn.reconstruct.sources.record import record_fhn
from analog_fhn.technology.device import Device
from analog_fhn.technology.technology import Technology
from analog_fhn.weights import load_network

DOCS = EXTEND.parents[1] / "docs" / "extend"
LAYERS = """# a network of two layers
layer 2 3 tanh
0.5 -1 2
1 0.25 -3
0.1 0.2 0.3  # biases
layer 3 2 none
1 0
0 1
0.5 -0.5
-1 1
"""


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path / "installed")


def test_the_pages_show_the_files_that_are_tested_here() -> None:
    shown = {
        name
        for page in ("cell", "technology", "device", "reader", "backend")
        for name in re.findall(r'^--8<-- "(.+)"$', (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.MULTILINE)
    }
    files = {path for path in EXTEND.rglob("*") if path.suffix in {".py", ".yaml"} and path.name != "__init__.py"}
    assert shown == {path.relative_to(EXTEND.parents[1]).as_posix() for path in files}


@pytest.mark.usefixtures("installed")
def test_the_reader_gives_the_network_that_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "net.layers"
    path.write_text(LAYERS)
    network, image = load_network(path), np.array([[0.3, 0.8]])
    first = np.tanh(image @ [[0.5, -1, 2], [1, 0.25, -3]] + [0.1, 0.2, 0.3])
    np.testing.assert_allclose(network.forward(image), first @ [[1, 0], [0, 1], [0.5, -0.5]] + [-1, 1], rtol=1e-12)
    status, out, _ = run("import", path, "-o", tmp_path / "net.npz")
    assert status == 0
    assert "layers file" in out


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("layer 2 3 tanh", "layer 2 3 swish", "line 2: unit 'swish': expected one of sigmoid, tanh, relu"),
        ("1 0.25 -3", "1 0.25", "line 4: expected 3 finite numbers, found 2"),
        ("0.5 -1 2", "0.5 nan 2", "line 3: expected 3 finite numbers"),
        ("1 0\n", "one 0\n", "line 7: expected 2 numbers, found 'one 0'"),
        ("layer 2 3", "layer 2 1000000000", "line 2: 2 x 1000000000: expected sizes from 1"),
        ("-1 1\n", "", "at its end: expected 2 finite numbers"),
        ("layer 3 2 none", "layer 3 2 tanh", "expected 'none' for the last layer"),
        (LAYERS, "weights", "line 1: expected 'layer INPUTS OUTPUTS UNIT'"),
    ],
)
def test_the_reader_names_what_is_wrong(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.layers"
    path.write_text(LAYERS.replace(old, new, 1))
    with pytest.raises(InputError, match=re.escape(message)):
        load_network(path)


def write_wav(path: Path, voltage: np.ndarray, step: float, width: int = 2) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(round(1 / step))
        file.writeframes(np.round(voltage * 2**15).astype("<i2").tobytes())


@pytest.mark.usefixtures("installed")
def test_a_wav_file_is_a_recording(tmp_path: Path) -> None:
    known = record_fhn(FHN(eps=0.1), -0.5, 0.1, 1 / 44100)
    write_wav(tmp_path / "record.wav", known.voltage / 4, 1 / 44100)
    read = read_recording(tmp_path / "record.wav", start=0.01)
    assert read.step == pytest.approx(1 / 44100)
    np.testing.assert_allclose(read.voltage, known.cut(0.01, None).voltage / 4, atol=2**-15)
    with pytest.raises(InputError, match="column = 2 says how columns of text are read"):
        read_recording(tmp_path / "record.wav", column=2)
    write_wav(tmp_path / "bytes.wav", known.voltage / 4, 1 / 44100, width=1)
    with pytest.raises(InputError, match="8 bits, 44100 samples a second; expected 16-bit PCM"):
        read_recording(tmp_path / "bytes.wav")
    (tmp_path / "text.wav").write_text("time,voltage\n")
    with pytest.raises(InputError, match="is no WAV file"):
        read_recording(tmp_path / "text.wav")


@pytest.mark.usefixtures("installed")
def test_the_backend_agrees_with_the_reference_and_is_of_second_order() -> None:
    protocol = Protocol(settle=2.0, control=4.0)
    network = digits_network().with_options(settle=2.0, control=4.0)
    cells = Design(network, "discrete").chip(1).last.cells[np.arange(3)]
    drives = np.array([[-0.9, -0.5, -0.2]])
    exact = make_backend("reference").respond(cells, drives, protocol, samples=True)
    errors = []
    for step in (0.1, 0.05):
        found = make_backend("heun", step=step).respond(cells, drives, protocol, samples=True)
        assert found.samples is not None
        assert exact.samples is not None
        np.testing.assert_allclose(found.samples[0], exact.samples[0], atol=0.02)
        errors.append(np.abs(found.mean - exact.mean).max())
    assert errors[0] < 2e-3
    assert errors[1] < errors[0] / 3.0


@pytest.mark.usefixtures("installed")
def test_the_backend_is_one_by_its_name_everywhere(tmp_path: Path) -> None:
    network, images = digits_network().with_options(settle=5.0, control=5.0), digits(20)
    direct = classify(network, images.images)
    found = classify(network, images.images, backend="heun")
    assert found.backend == "heun"
    np.testing.assert_array_equal(found.predictions, direct.predictions)
    network.save(tmp_path / "net.npz")
    status, out, _ = run("classify", tmp_path / "net.npz", "--dataset", "digits", "--images", 20, "--backend", "heun")
    assert status == 0
    assert f"{direct.accuracy(images.labels):.2%}".replace("%", " %") in out
    plan = "network: net.npz\ntechnology: discrete\ndataset: digits\nchips: 1\nseed: 0\nbackend: {}\n"
    (tmp_path / "plan.yaml").write_text(plan.format("heun"))
    assert Sweep.load(tmp_path / "plan.yaml").backend == "heun"
    (tmp_path / "plan.yaml").write_text(plan.format("euler"))
    with pytest.raises(InputError, match=r"backend = 'euler': expected one of reference, .*, heun"):
        Sweep.load(tmp_path / "plan.yaml")
    status, _, err = run("classify", tmp_path / "net.npz", "--dataset", "digits", "--backend", "euler")
    assert status == 2
    assert "--backend 'euler': expected one of" in err
    with pytest.raises(InputError, match=r"step = 0\.7: expected a share of eps"):
        make_backend("heun", step=0.7)


@pytest.mark.usefixtures("installed")
def test_design_lists_the_parts_of_the_cell() -> None:
    status, out, _ = run("design", "--technology", EXTEND / "sources.yaml")
    assert status == 0
    parts = {line.split()[0]: line.split()[1:3] for line in out.splitlines() if line.startswith("  ")}
    # Rx Cx = eps T and Ry Cy = T, of 10 kohm and 1 ms
    assert parts == {"Rx": ["10", "kohm"], "Ry": ["10", "kohm"], "Cx": ["1", "nF"], "Cy": ["100", "nF"]}


def test_the_board_is_sound_and_its_parts_are_within_their_tolerances() -> None:
    technology = Technology.load(EXTEND / "board.yaml")
    design = Design(digits_network(), technology)
    assert [finding.message for finding in check(design) if finding.severity == "error"] == []
    chips = [dict(design.chip(seed).hardware[0].cells.parts[0].items()) for seed in range(60)]
    for name, tolerance in (("r1", 0.05), ("cx", 0.10)):
        values = np.concatenate([parts[name] for parts in chips])
        deviation = values / np.median(values) - 1.0
        assert np.abs(deviation).max() < 1.02 * tolerance
        assert deviation.std() == pytest.approx(tolerance / 3.0, rel=0.1)
    images = digits()
    accuracy = classify(design.chip(1), images.images, table=9).accuracy(images.labels)
    assert accuracy > digits_network().accuracy(images.images, images.labels) - 0.1


def test_the_device_spreads_and_drifts_as_its_file_says(tmp_path: Path) -> None:
    device, rng = Device.load(EXTEND / "memristor.yaml"), np.random.default_rng(0)
    g = np.full(100_000, 50e-6)
    error = device.programming_deviation(g, rng.standard_normal(g.shape), read_voltage=0.2)
    assert error.std() == pytest.approx(0.2e-6 + 0.01 * 50e-6, rel=0.01)
    later = device.drifted(g, np.e**3, rng.standard_normal(g.shape), read_voltage=0.2) - g
    assert later.mean() == pytest.approx(-5e-8 * 3, rel=0.02)
    assert later.std() == pytest.approx(3 * 1e-8 + 1e-7, rel=0.02)
    text = (EXTEND / "board.yaml").read_text().replace("programming_error: 0.02", "programming_error: device")
    (tmp_path / "board.yaml").write_text(text + f"  device: {EXTEND / 'memristor.yaml'}\n")
    array = Technology.load(tmp_path / "board.yaml").array
    assert array.device == device


def test_a_plug_in_that_cannot_serve_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    metadata(
        tmp_path / "one",
        backend={"absent": "no_such_module:Backend", "numpy": "numpy:arange", "twice": "math:sin"},
        cell={"wrong": "fractions:Fraction"},
        reader={"mine": "math:pi", "npz": "math:pi", "hers": "os.path:basename"},
        recording={"rec": "os.path:basename"},
    )
    metadata(tmp_path / "two", backend={"twice": "math:cos"})
    for folder in ("one", "two"):
        monkeypatch.syspath_prepend(tmp_path / folder)
    (tmp_path / "two" / "fhn_extras-1.0.dist-info").rename(tmp_path / "two" / "other-1.0.dist-info")
    metadata_file = tmp_path / "two" / "other-1.0.dist-info" / "METADATA"
    metadata_file.write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    with pytest.raises(InputError, match="'absent': no_such_module:Backend of fhn-extras does not load: ModuleNot"):
        make_backend("absent")
    with pytest.raises(InputError, match="several installed packages have one"):
        make_backend("twice")
    with pytest.raises(InputError, match="is no backend; expected a name and a method respond"):
        make_backend("numpy", stop=1)
    (tmp_path / "wrong.yaml").write_text((EXTEND / "board.yaml").read_text())
    wrong = Technology.load(EXTEND / "board.yaml").model_copy(update={"cell": "wrong"})
    with pytest.raises(InputError, match=r"cell .wrong.: .* is no subclass of Cell"):
        Design(digits_network(), wrong)
    for name, message in (("a.mine", "is no function"), ("a.hers", "its reader gives str; expected TrainedWeights")):
        (tmp_path / name).write_text("1")
        with pytest.raises(InputError, match=message):
            load_network(tmp_path / name)
    digits_network().save(tmp_path / "net.npz")  # our own endings are ours
    assert load_network(tmp_path / "net.npz").layer_sizes == digits_network().layer_sizes
    with pytest.raises(InputError, match="its reader gives str; expected a Recording"):
        read_recording(tmp_path / "a.rec")
    assert plugin("backend", "nobody's") is None
