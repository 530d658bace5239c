"""Compiled functions where their machine code cannot be kept."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import analog_fhn
from analog_fhn._support.compiled import compiled

SOURCE = "def double(x):\n    return 2 * x\n"


def function(folder: Path) -> object:
    """A fresh function of a module in a folder of its own."""
    path = folder / "module.py"
    path.write_text(SOURCE)
    names: dict[str, object] = {}
    exec(compile(SOURCE, str(path), "exec"), names)
    return names["double"]


def test_machine_code_is_kept_beside_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    double = compiled()(function(tmp_path))  # type: ignore[arg-type]
    assert double(2) == 4
    assert len(list((tmp_path / "__pycache__").iterdir())) == 2


def test_without_a_place_for_it_a_function_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "__pycache__").write_text("")  # no folder, as in an installation that cannot be written
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    double = compiled()(function(tmp_path))  # type: ignore[arg-type]
    assert double(2) == 4


def test_on_a_full_disk_a_function_is_compiled(tmp_path: Path) -> None:
    double = compiled()(function(tmp_path))  # type: ignore[arg-type]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        assert double(2) == 4
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "__pycache__").iterdir())


def test_the_package_is_imported_where_nothing_can_be_written(tmp_path: Path) -> None:
    package = Path(analog_fhn.__file__).parent
    copy = tmp_path / "analog_fhn"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for source in package.rglob("__init__.py"):
        (copy / source.relative_to(package).parent / "__pycache__").write_text("")
    script = "import analog_fhn.inference; print(analog_fhn.__file__)"
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=environment | {"HOME": "/dev/null", "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (f"{copy / '__init__.py'}\n", "")
