"""Without its optional packages the program simulates and exports, and what needs one says how to install it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analog_fhn.network import Network

OPTIONAL = (
    "sklearn", "pooch", "matplotlib", "h5py", "onnx", "safetensors", "keras", "jax", "brian2", "PySpice", "distributed",
    "pyarrow", "starlette", "uvicorn", "pandas", "neo", "pynwb", "kiutils", "kicad_monkey",
)  # fmt: skip
BLOCKED = f"import sys; sys.modules.update(dict.fromkeys({OPTIONAL}))\n"  # None: not to be imported
COMMAND = BLOCKED + "from analog_fhn.cli import main; sys.argv = ['analog-fhn', *sys.argv[1:]]; main()"
IMAGES = np.random.default_rng(0).random((20, 4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small network, images, and weight files whose content is not looked at."""
    place = tmp_path_factory.mktemp("bare")
    rng = np.random.default_rng(1)
    Network.of_weights((rng.normal(size=(4, 3)), rng.normal(size=(3, 2)))).save(place / "net.npz")
    np.savez(place / "images.npz", images=IMAGES, labels=np.arange(20) % 2)
    (place / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (place / "model.onnx").write_bytes(b"\x08\x08")
    (place / "cell.nwb").write_bytes(b"\x89HDF\r\n\x1a\n")
    (place / "cell.abf").write_bytes(b"ABF2" + bytes(600))
    (place / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return place


def python(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script, *arguments], cwd=folder, capture_output=True, text=True)


def test_the_core_works_without_them(folder: Path) -> None:
    script = (
        "from pathlib import Path; import analog_fhn as af; from analog_fhn.data import load\n"
        "from analog_fhn.netlist.export import export\n"
        "net = af.Network.load('net.npz'); images = load('images.npz', 'test')\n"
        "chip = af.Design(net, af.Technology.load('discrete')).chip(1)\n"
        "print(af.classify(chip, images.images, backend='direct').predictions.shape)\n"
        "export(chip, images.images[0], Path('build'), {})\n"
    )
    done = python(folder, BLOCKED + script)
    assert (done.returncode, done.stdout) == (0, "(20,)\n"), done.stderr
    assert (folder / "build" / "run.cir").is_file()


@pytest.mark.parametrize(
    "command",
    [
        ("classify", "net.npz", "--dataset", "images.npz", "--technology", "discrete", "--chip", "1"),
        ("compare", "net.npz", "--dataset", "images.npz", "--brian-images", "0", "--spice-images", "0"),
        ("export", "net.npz", "--dataset", "images.npz", "--image", "0", "-o", "exported"),
        ("design",),
    ],
)
def test_commands_without_pictures_work(folder: Path, command: tuple[str, ...]) -> None:
    done = python(folder, COMMAND, *command)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("command", "need", "extra"),
    [
        (("classify", "net.npz", "--dataset", "digits"), "the digits need scikit-learn", "data"),
        (("classify", "net.npz", "--dataset", "mnist"), "downloading MNIST needs pooch", "data"),
        (("import", "model.h5", "-o", "new.npz"), "need h5py", "import"),
        (("import", "model.onnx", "-o", "new.npz"), "ONNX files need onnx", "import"),
        (("import", "model.safetensors", "-o", "new.npz"), "safetensors files need safetensors", "import"),
        (("compare", "net.npz", "--dataset", "images.npz", "-o", "out"), "pictures need matplotlib", "plots"),
        (("classify", "net.npz", "--dataset", "images.npz", "--backend", "brian"), "needs Brian2", "brian"),
        (("record", "--info", "cell.nwb"), "NWB files need pynwb", "nwb"),
        (("record", "--info", "cell.abf"), "Axon (ABF) files need neo", "recordings"),
        (("train", "--dataset", "images.npz", "-o", "new.npz"), "training needs Keras and JAX", "train"),
        (("bench", "net.npz", "--dataset", "images.npz"), "the page needs starlette and uvicorn", "bench"),
        (("export", "net.npz", "--form", "kicad", "--cells", "1", "-o", "board"), "schematics need kiutils", "board"),
    ],
)
def test_what_needs_one_says_how_to_install_it(
    folder: Path, command: tuple[str, ...], need: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.delenv("ANALOG_FHN_DATA", raising=False)
    done = python(folder, COMMAND, *command)
    assert (done.returncode, done.stdout) == (3, "")
    assert need in done.stderr
    assert f'pip install "analog-fhn[{extra}]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_writing_weights_says_it_too(folder: Path) -> None:
    script = (
        "import numpy as np; from analog_fhn import weights; from analog_fhn.errors import MissingProgramError\n"
        "for ending in ('keras', 'weights.h5', 'safetensors'):\n"
        "    try:\n        weights.write(f'new.{ending}', [np.eye(2), np.eye(2)])\n"
        "    except MissingProgramError as error:\n        print(error)\n"
    )
    lines = python(folder, BLOCKED + script).stdout.splitlines()
    assert len(lines) == 3
    assert all(line.endswith('pip install "analog-fhn[import]"') for line in lines)
    assert not list(folder.glob("new.*"))
