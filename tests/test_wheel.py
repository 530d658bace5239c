"""The package as it is built: sdist, wheel made from it, installed outside the checkout, with everything in them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import analog_fhn

CHECKOUT = Path(__file__).resolve().parent.parent


def run(*command: str | Path, folder: Path) -> str:
    # What the tests' own Python found by PYTHONPATH must not be found by the other one.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the sdist and the wheel that is made from it."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, CHECKOUT, folder=folder)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a fresh environment with the wheel; dependencies come from the environment of the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = built.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, folder=folder)
    # A path file makes the dependencies importable after the wheel, but not the editable install of the checkout,
    # which is itself a path file: those are read in site folders only.
    dependencies = [p for p in sys.path if p.endswith("site-packages")]
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).strip()
    (Path(site) / "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    return python


def files_of_the_checkout() -> set[str]:
    listed = run("git", "ls-files", folder=CHECKOUT).splitlines()
    return {name for name in listed if (CHECKOUT / name).is_file()}


def test_package_is_the_installed_one(installed: Path, tmp_path: Path) -> None:
    script = "import analog_fhn, importlib.metadata as m; print(analog_fhn.__file__, m.version('analog-fhn'))"
    where, version = run(installed, "-c", script, folder=tmp_path).split()
    assert Path(where).is_relative_to(installed.parent.parent)
    assert version == analog_fhn.__version__


@pytest.mark.skipif(not (CHECKOUT / ".git").exists(), reason="what belongs to the sdist is what git has")
def test_sdist_is_the_checkout(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        found = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert files_of_the_checkout() - found == set()


@pytest.mark.skipif(not (CHECKOUT / ".git").exists(), reason="what belongs to the wheel is what git has")
def test_wheel_has_every_file_of_the_package(built: Path) -> None:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        found = set(archive.namelist())
    folders = ("analog_fhn/", "netlists/", "calibration/")
    expected = {name for name in files_of_the_checkout() if name.startswith(folders)}
    places = {name if name.startswith("analog_fhn/") else f"analog_fhn/_data/{name}" for name in expected}
    assert len(places) > 300
    assert places - found == set()
    licences = {name.split("licenses/")[1] for name in found if "dist-info/licenses/" in name}
    assert licences == {"LICENSE", "REUSE.toml", *(f"LICENSES/{p.name}" for p in (CHECKOUT / "LICENSES").iterdir())}


@pytest.mark.parametrize("folder", ["netlists", "calibration"])
def test_every_resource_travels(folder: str, installed: Path, tmp_path: Path) -> None:
    script = (
        "import sys, hashlib; from analog_fhn._support.resources import resource\n"
        "for path in sorted(p for p in resource(sys.argv[1]).rglob('*') if p.is_file()):\n"
        "    same = resource(sys.argv[1], path.relative_to(resource(sys.argv[1])).as_posix())\n"
        "    print(path.relative_to(resource(sys.argv[1])).as_posix(), hashlib.sha256(same.read_bytes()).hexdigest())\n"
    )
    found = run(installed, "-c", script, folder, folder=tmp_path)
    here = sorted(p for p in (CHECKOUT / folder).rglob("*") if p.is_file())
    assert here
    expected = [
        f"{p.relative_to(CHECKOUT / folder).as_posix()} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in here
    ]
    assert found.splitlines() == expected


def test_files_of_the_page_travel(installed: Path, tmp_path: Path) -> None:
    script = "from analog_fhn.bench.server import page_files; print(*page_files())"
    expected = sorted(p.name for p in (CHECKOUT / "analog_fhn" / "bench" / "page").iterdir())
    assert {"index.html", "app.js", "style.css"} <= set(expected)
    assert sorted(run(installed, "-c", script, folder=tmp_path).split()) == expected


def test_templates_technologies_and_published_tables_are_found(installed: Path, tmp_path: Path) -> None:
    script = (
        "from jinja2 import PackageLoader; print(*PackageLoader('analog_fhn.report').list_templates())\n"
        "from analog_fhn._support.resources import resource; from analog_fhn.technology.technology import Technology\n"
        "print(*sorted(Technology.load(p.stem).name for p in resource('calibration').glob('*.yaml')))\n"
        "from analog_fhn.papers.bogatenko2023 import published_table1; print(len(published_table1()))"
    )
    folder = CHECKOUT / "analog_fhn" / "report" / "templates"
    templates, technologies, rows = run(installed, "-c", script, folder=tmp_path).splitlines()
    assert templates.split() == sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert "discrete" in technologies.split()
    assert rows == "6"


def test_the_installed_program_does_its_work(installed: Path, tmp_path: Path) -> None:
    program = installed.parent / "analog-fhn"
    run(program, "train", "--dataset", "digits", "--hidden", "8", "--epochs", "5", "-o", "net.npz", folder=tmp_path)
    assert "technology discrete" in run(program, "design", folder=tmp_path)
    chip = ("net.npz", "--dataset", "digits", "--image", "0", "--chip", "1", "-o", "chip")
    run(program, "export", *chip, folder=tmp_path)
    assert (tmp_path / "chip" / "run.cir").is_file()
    assert "Usage: analog-fhn" in run(installed, "-m", "analog_fhn", "--help", folder=tmp_path)


def test_the_installed_program_classifies(installed: Path, tmp_path: Path) -> None:
    program = installed.parent / "analog-fhn"
    run(program, "train", "--dataset", "digits", "--hidden", "8", "--epochs", "5", "-o", "net.npz", folder=tmp_path)
    run(program, "classify", "net.npz", "--dataset", "digits", "--images", "100", "--json", "net.json", folder=tmp_path)
    accuracy = json.loads((tmp_path / "net.json").read_text())
    assert abs(accuracy["accuracy"] - accuracy["accuracy_plain"]) < 0.05


def test_the_installed_program_finds_its_simulators(installed: Path, tmp_path: Path) -> None:
    doctor = json.loads(run(installed.parent / "analog-fhn", "doctor", "--json", "-", folder=tmp_path))
    assert {"reference", "direct", "brian", "spice"} <= set(doctor["neuron"])


# One use of every public name, as a user writes it.
PROGRAM = """
from pathlib import Path

import numpy as np

import analog_fhn as af


def networks(path: Path) -> af.Network:
    train: af.Dataset = af.load_data("digits", "train")
    trained = af.train_plain(train, n_hidden=12, epochs=3)
    inside = af.train_fhn(train, n_hidden=8, epochs=2).network(train.scale)
    network = af.load_network(path).with_options(settle=20.0)
    layers = (
        af.Convolution(np.ones((9, 4)), unit="relu", ceiling=4.0, patches=af.Patches(shape=(8, 8, 1), size=(3, 3))),
        af.AveragePool(shape=(6, 6, 4), size=(2, 2)),
        af.Dense(np.ones((36, 10))),
    )
    print(af.Network(layers, fhn=af.FHN(gamma=-0.9), protocol=af.Protocol(settle=50.0)), inside.layer_sizes, network)
    return af.from_model(object()) if path.suffix else trained.network(train.scale)


def circuits(network: af.Network) -> tuple[af.Design, af.Chip]:
    technology = af.Technology.load("discrete").with_values({"resistor.tolerance": 0.02})
    design = af.Design(network, technology)
    messages: list[str] = [finding.message for finding in af.check(design)]
    quantities = sum(line.quantity for line in af.bill(design))
    print(messages, quantities, af.Chip.ideal(network))
    files: list[str] = af.export_kicad(design.chip(1), Path("board"), cells=2)
    print(files, [difference for difference in af.check_board("board")])
    return design, design.chip(1)


def answers(design: af.Design, test: af.Dataset) -> float:
    chip = design.chip(1)
    table = af.Table(af.make_backend("direct"), 9)
    result: af.Result = af.classify(chip, test.images, backend=table, noise=None)
    means = af.activations(chip, test.images, table)
    af.classify(chip, test.images, noise=af.chip_noise(chip, seed=0))
    print(means.shape, af.cycle(chip.layers[0].cells.dynamics[:1], drive=-0.8).period)
    return result.accuracy(test.labels)


def many(design: af.Design, test: af.Dataset) -> list[float]:
    study: af.Study = af.sweep(design, test, chips=20, specification=0.9)
    worst = af.worst_case(design, test, specification=0.9)
    found = af.rare(design, test, specification=0.9)
    grid = af.corners(design, test, temperatures=[280.0], supplies=[1.0])
    print(worst.distance, found.probability.probability, grid.worst.yield_)
    return [one.share for one in study.yield_()]


def studies(design: af.Design, test: af.Dataset, folder: Path) -> float:
    chip = design.chip(1)
    af.export(chip, test.images[0], folder)
    scores = af.run_exported(folder)
    names = [stage.name for stage in af.waterfall(chip, test.images, test.labels)]
    latencies = [point.latency for point in af.frontier(chip, test.images, test.labels)]
    ripples = [point.ripple for point in af.low_pass(design, test.images, test.labels, [5.0])]
    print(scores.argmax(), names, latencies, ripples)
    return af.consumption(chip, test.images[:1]).power


def neurons(design: af.Design, train: af.Dataset, test: af.Dataset) -> af.Twins:
    steps = af.repair(af.SimulatedBench(design, 1), ["trim"], train, test)
    try:
        rebuilt = af.reconstruct_neuron([af.read_recording(Path("one.csv"))])
    except (af.InputError, af.MissingProgramError) as error:
        raise SystemExit(str(error)) from None
    print(steps[0].accuracy, af.__version__)
    return af.Twins((rebuilt.reconstruction,))
"""


def test_a_users_program_is_typed(installed: Path, tmp_path: Path) -> None:
    assert [name for name in analog_fhn.__all__ if f"af.{name}" not in PROGRAM] == []
    (tmp_path / "program.py").write_text(PROGRAM)
    cache = tmp_path / "cache"
    if (CHECKOUT / ".mypy_cache").is_dir():  # numpy's types, by `make check`; the package is read anew where it differs
        shutil.copytree(CHECKOUT / ".mypy_cache", cache)
    mypy = (sys.executable, "-m", "mypy", "--strict", "--python-executable", installed, "--cache-dir", cache)
    alike = ("--config-file", CHECKOUT / "pyproject.toml", "--warn-unused-ignores")
    assert "Success: no issues" in run(*mypy, *alike, "program.py", folder=tmp_path)
    wrong = PROGRAM + "\n\nwrong: str = af.consumption(af.Design(af.load_network('x'), 'discrete').chip(1), 3).power\n"
    (tmp_path / "program.py").write_text(wrong)
    done = subprocess.run(
        [*map(str, mypy), *map(str, alike), "program.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert "[arg-type]" in done.stdout
    assert "[assignment]" in done.stdout
