"""Imports point one way, floor by floor; asking for help loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import analog_fhn

PACKAGE = Path(analog_fhn.__file__).parent

# From the ground up; a module may import from its own floor and from those below.
FLOORS = (
    {"errors"},
    {"_support", "crossings", "neuron", "ngspice", "transconductors", "vacask"},
    {"data", "findings", "plots", "readout", "technology"},
    {"patches"},
    {"cell", "network"},
    {"draws"},
    {"array", "weights"},
    {"hold"},
    {"chip"},
    {"design", "noise"},
    {"checks", "netlist"},
    {"backends"},
    {"inference", "training"},
    {"montecarlo", "reconstruct", "trim"},
    {"board"},
    {"papers", "report", "studies"},
    {"sweeps"},
    {"corner_grid", "failures"},
    {"bench"},
    {"cli"},
    {"__main__"},
)


def floor(part: str) -> int:
    return next(k for k, names in enumerate(FLOORS) if part in names)


@cache
def modules() -> dict[str, Path]:
    """Dotted name within the package -> file, for every module but the package's own __init__."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] == "_data":
            continue
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


def imports(name: str, path: Path) -> set[str]:
    """Modules of the package that a module imports, wherever in the file, under TYPE_CHECKING too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively; the floors are checked on absolute names"
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        for target in targets:
            if target.split(".")[0] == "analog_fhn":
                parts = target.split(".")[1:]
                # the longest part of the name that is a module; the rest is a name in it
                known = [".".join(parts[:k]) for k in range(len(parts), 0, -1) if ".".join(parts[:k]) in modules()]
                if known:
                    found.add(known[0])
    return found


def test_every_module_has_a_floor() -> None:
    named = set().union(*FLOORS)
    assert {name.split(".")[0] for name in modules()} <= named


def test_the_walk_finds_imports_inside_functions() -> None:
    # inference imports its backends on demand, in a function
    assert "backends.brian" in imports("inference", PACKAGE / "inference.py")


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_point_down(name: str) -> None:
    own = floor(name.split(".")[0])
    upward = {target for target in imports(name, modules()[name]) if floor(target.split(".")[0]) > own}
    assert upward == set()


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {name: imports(name, path) - {name} for name, path in modules().items()}
    remaining = set(graph)
    while remaining:
        free = {name for name in remaining if not graph[name] & remaining}
        assert free, f"a circle among {sorted(remaining)}"
        remaining -= free


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("hashlib", "_support.hashing"),
        ("fcntl", "_support.temporary"),
        ("pooch", "data.mnist"),
        ("sklearn", "data.digits"),
        ("neo", "reconstruct.recordings.sweep_file"),
        ("pynwb", "reconstruct.recordings.nwb_file"),
        ("kicad_monkey", "board.schematic_reader"),
    ],
)
def test_a_library_is_used_in_one_place(library: str, home: str) -> None:
    users = {
        name
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and library in {alias.name.split(".")[0] for alias in node.names})
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == library)
    }
    assert users == {home}


def test_only_the_chip_and_training_draw_random_numbers() -> None:
    # shared design: nothing but the chip draws component values. Training draws weights, the sweep its chips' seeds,
    # the data set its split, and doctor the weights of a sample network. Brian2 draws noise, from a seed made here; the
    # simulated bench that of its readings, which no chip has; `record` noise and gaps of a recording; a
    # driven twin has current noise, its inputs' scales are searched, and populations are drawn around it.
    allowed = {
        "backends.brian",
        "draws",
        "training.fit",
        "montecarlo.trial",
        "trim.bench",
        "data.dataset",
        "data.digits",
        "data.class_shares",
        "studies.doctor",
        "cli.record",
        "reconstruct.model.maps",
        "reconstruct.driven.training",
        "reconstruct.driven.noise",
        "reconstruct.driven.spread",
        "reconstruct.driven.tuning",
        "papers.kuptsov2025",
    }
    found = {
        name
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "random" and isinstance(node.value, ast.Name)
        if node.value.id == "np"
    }
    assert found <= allowed


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["classify", "--help"],
        ["sweep", "--help"],
        ["report", "--help"],
        ["import", "--help"],
        ["trim", "--help"],
        ["bench", "--help"],
    ],
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys; from analog_fhn.cli import main; sys.argv = ['analog-fhn', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'numpy', 'scipy', 'numba', 'keras', 'jax', 'matplotlib', 'brian2', 'PySpice', 'sklearn', 'h5py',\n"
        "         'starlette', 'uvicorn'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert "Usage: analog-fhn" in done.stdout
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_importing_a_backend_module_starts_nothing() -> None:
    script = (
        "import sys, threading, multiprocessing\n"
        "import analog_fhn.inference, analog_fhn.backends.spice.backend, analog_fhn.backends.brian\n"
        "import analog_fhn.training.plain, analog_fhn.studies.waterfall\n"
        "print(threading.active_count(), multiprocessing.active_children(),\n"
        "      sorted({'brian2', 'PySpice', 'keras', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "1 [] []\n"


def test_a_process_of_ngspice_loads_little() -> None:
    script = (
        "import sys; import analog_fhn.ngspice.process\n"
        "print(sorted({'scipy', 'numba', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
