"""The built wheel, installed outside the checkout, has everything with it."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


def run(*command: str | Path, folder: Path) -> str:
    # What the tests' own Python found by PYTHONPATH must not be found by the other one.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a fresh environment with the wheel; dependencies come from the environment of the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, CHECKOUT, folder=folder
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, folder=folder)
    # A path file makes the dependencies importable after the wheel, but not the editable install of the checkout,
    # which is itself a path file: those are read in site folders only.
    dependencies = [p for p in sys.path if p.endswith("site-packages")]
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).strip()
    (Path(site) / "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    return python


def test_package_is_the_installed_one(installed: Path, tmp_path: Path) -> None:
    where = run(installed, "-c", "import analog_fhn; print(analog_fhn.__file__)", folder=tmp_path).strip()
    assert Path(where).is_relative_to(installed.parent.parent)


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
    import hashlib

    expected = [
        f"{p.relative_to(CHECKOUT / folder).as_posix()} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in here
    ]
    assert found.splitlines() == expected


def test_templates_of_the_report_travel(installed: Path, tmp_path: Path) -> None:
    script = "from jinja2 import PackageLoader; print(*PackageLoader('analog_fhn.report').list_templates())"
    folder = CHECKOUT / "analog_fhn" / "report" / "templates"
    expected = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert "run.html.j2" in expected
    assert run(installed, "-c", script, folder=tmp_path).split() == expected


def test_files_of_the_page_travel(installed: Path, tmp_path: Path) -> None:
    script = "from analog_fhn.bench.server import page_files; print(*page_files())"
    expected = sorted(p.name for p in (CHECKOUT / "analog_fhn" / "bench" / "page").iterdir())
    assert {"index.html", "app.js", "style.css"} <= set(expected)
    assert sorted(run(installed, "-c", script, folder=tmp_path).split()) == expected


def test_every_technology_loads(installed: Path, tmp_path: Path) -> None:
    script = (
        "from analog_fhn._support.resources import resource; from analog_fhn.technology.technology import Technology\n"
        "print(*sorted(Technology.load(p.stem).name for p in resource('calibration').glob('*.yaml')))"
    )
    assert "discrete" in run(installed, "-c", script, folder=tmp_path).split()


def test_published_table_opens(installed: Path, tmp_path: Path) -> None:
    script = "from analog_fhn.papers.bogatenko2023 import published_table1; print(len(published_table1()))"
    assert run(installed, "-c", script, folder=tmp_path) == "6\n"


def test_console_script_answers(installed: Path, tmp_path: Path) -> None:
    assert "Usage: analog-fhn" in run(installed.parent / "analog-fhn", "--help", folder=tmp_path)


def test_module_answers(installed: Path, tmp_path: Path) -> None:
    assert "Usage:" in run(installed, "-m", "analog_fhn", "--help", folder=tmp_path)
