"""Our Monte-Carlo over mismatch beside spicelib's, on the netlist of one neuron: R 1 %, C 5 %, two runs at a time."""

import importlib.util
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

from analog_fhn.backends.spice import backend as spice
from analog_fhn.backends.spice.backend import Spice
from analog_fhn.cell.base import CircuitCells
from analog_fhn.cell.opamp_fhn.layout import groups
from analog_fhn.design import Design
from analog_fhn.errors import MissingProgramError
from analog_fhn.montecarlo.runner import Trial, chip_seed, run_chips
from analog_fhn.netlist.decks import neuron_deck
from analog_fhn.network import Network
from analog_fhn.neuron import Protocol
from analog_fhn.ngspice import batch, process
from analog_fhn.ngspice.text import number
from analog_fhn.technology.technology import Technology

N_RUNS = 60
PARALLEL = 2
SEED = 1
DRIVE = -0.5
LENGTHS = (Protocol(settle=5.0, control=15.0), Protocol(settle=20.0, control=80.0))
REPEATS = 2
N_FEW, BROKEN = 4, 2  # runs of the studies in which one fails, and which

# Arguments: deck, folder for its files, what to do as JSON. Prints what came of it as JSON.
PEER = """
import json, logging, random, re, resource, sys, time
from pathlib import Path
import numpy as np
from analog_fhn.backends.spice.backend import window_mean
from spicelib import RawRead, SimRunner, SpiceEditor
from spicelib.sim.tookit.montecarlo import Montecarlo
from spicelib.simulators.ngspice_simulator import NGspiceSimulator

logging.disable()
deck, folder, task = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])

def cpu():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)

def mean(raw_file, log_file):
    raw = RawRead(raw_file, dialect="ngspice")
    time, x = (np.asarray(raw.get_trace(name).get_wave(), dtype=float) for name in ("time", "v(x)"))
    return window_mean(time, x, *task["window"])

class Study(Montecarlo):
    fault = None
    def run(self, **options):
        if self.fault and self.runner.runno == task["broken"]:
            kind, *values = self.fault
            getattr(self.editor, kind)(*values)
        return super().run(**options)

def study(fault=None, tolerances=None):
    random.seed(task["seed"])
    np.random.seed(task["seed"])
    begun, used = time.perf_counter(), cpu()
    runner = SimRunner(simulator=NGspiceSimulator, parallel_sims=task["parallel"], output_folder=folder)
    found = Study(SpiceEditor(deck), runner)
    found.fault = fault
    for kind, tolerance in (tolerances or {}).items():
        found.set_tolerance(kind, tolerance, "normal")
    for name, (value, tolerance) in task["parts"].items():
        found.set_parameter_deviation(name, value * (1 - tolerance), value * (1 + tolerance), "normal")
    found.run_analysis(callback=mean, num_runs=task["runs"])
    return found, {
        "seconds": time.perf_counter() - begun,
        "cpu": cpu() - used,
        "means": found.simulation_results["callback_returns"],
        "failed": runner.failSim,
    }

def attempt(call, *arguments, **options):
    try:
        return call(*arguments, **options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

if task["do"] == "study":
    _, answer = study()
    names = [Path(folder, f"{Path(deck).stem}_{k + 1}.cir") for k in range(task["runs"])]
    drawn = [dict(re.findall(r"^[.]param (part_\\w+)= *(\\S+)", n.read_text(), re.M)) for n in names]
    answer["parts"] = {name: [float(values[name]) for values in drawn] for name in task["parts"]}
elif task["do"] == "faults":
    study()  # leaves results of the same names, which a failed run might pick up
    answer = {name: attempt(lambda: study(fault)[1]) for name, fault in task["faults"].items()}
else:
    found, untouched = study(tolerances={"R": 0.01, "C": 0.05})
    answer = {
        "untouched": len(set(untouched["means"])),
        "testbench": attempt(found.prepare_testbench, num_runs=4),
        "measurement": attempt(found.analyse_measurement, "mean"),
    }
print(json.dumps(answer))
"""


def _installed() -> bool:
    try:
        process.find_library()
        batch.program_version()
    except MissingProgramError:
        return False
    return importlib.util.find_spec("PySpice") is not None


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _installed(), reason="ngspice, libngspice or PySpice is not installed"),
]


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    """Folder with spicelib; it runs with our NumPy, SciPy and Matplotlib, and without clipin, a clipboard."""
    folder = tmp_path_factory.mktemp("peer")
    packages = ["spicelib==1.6.4", "psutil>=5"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *packages]
    subprocess.run(command, check=True)
    return folder


def measure(peer, deck, folder, **task):
    """What spicelib makes of a deck."""
    path = folder / "neuron.cir"
    path.write_text(deck)
    command = [sys.executable, "-W", "ignore", "-c", PEER, str(path), str(folder / "runs"), json.dumps(task)]
    run = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(peer)}
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def make_design(n_neurons: int, protocol: Protocol, n_classes: int = 1) -> Design:
    """Only resistors and capacitors are spread."""
    technology = Technology.load("discrete")
    opamp = technology.opamp.model_copy(update={"offset_sigma": 0.0})
    multiplier = technology.multiplier.model_copy(update={"scale_sigma": 0.0, "offset_sigma": 0.0})
    weights = np.ones((1, n_neurons)), np.ones((n_neurons, n_classes))
    return Design(
        Network.of_weights(weights, protocol=protocol),
        technology.model_copy(update={"opamp": opamp, "multiplier": multiplier}),
    )


def tolerances(design: Design) -> dict[str, float]:
    """Tolerance of every resistor and capacitor of a neuron."""
    resistors = dict.fromkeys(("r1", "r2", "r3", "r4", "r5", "ra", "rb"), design.technology.resistor.tolerance)
    return resistors | dict.fromkeys(("cx", "cy"), design.technology.capacitor.tolerance)


def for_peer(design: Design, protocol: Protocol) -> tuple[str, dict[str, tuple[float, float]]]:
    """Deck of the nominal neuron whose parts are parameters of the outermost circuit, and their tolerances."""
    cells = design.chip(None).hardware[0].cells
    deck, parts, lines = neuron_deck(cells, 0, DRIVE, protocol), {}, ""
    for name, tolerance in tolerances(design).items():
        value = float(getattr(groups(cells)[0], name)[0])
        deck = with_part(deck, name, f"{{part_{name}}}")
        lines += f".param part_{name}={number(value)}\n"
        parts[f"part_{name}"] = (value, tolerance)
    return "* " + deck.replace("Xneuron", f"{lines}Xneuron"), parts


def with_neurons(cells: CircuitCells, **values: np.ndarray) -> CircuitCells:
    """Cells whose neurons have other values of some parts."""
    neurons, *stages = groups(cells)
    return cells.cell.cells((neurons.with_values(**values), *stages))


def with_part(deck: str, name: str, value: str) -> str:
    """Deck with another value of one part in the neuron's instance line."""
    head, neuron = deck.split("Xneuron")
    neuron, count = re.subn(rf" {name}=\S+", f" {name}={value}", neuron)
    assert count == 1
    return f"{head}Xneuron{neuron}"


def window(design: Design, protocol: Protocol) -> list[float]:
    unit = design.time_unit
    return [protocol.settle * unit, (protocol.settle + protocol.control) * unit]


def report(name: str, protocol: Protocol, seconds: float, used: float, volts: np.ndarray) -> None:
    print(
        f"{protocol.settle + protocol.control:5.0f} T   {name:10} {60 * len(volts) / seconds:9.0f} "
        f"{used / len(volts):12.2f}   {volts.mean():9.4f} +- {volts.std(ddof=1):.4f}   {os.getloadavg()[0]:4.1f}"
    )


def test_montecarlo_beside_spicelib(tmp_path, peer):
    print(f"\n{N_RUNS} runs, {PARALLEL} at a time, {os.cpu_count()} cores, ngspice {batch.program_version()}")
    print("length    program    runs/min   CPU s a run   mean V(x) and its spread   load")
    for protocol in LENGTHS:
        design = make_design(N_RUNS, protocol)
        deck, parts = for_peer(design, protocol)
        task = {"do": "study", "runs": N_RUNS, "parallel": PARALLEL, "seed": SEED, "parts": parts}
        task["window"] = window(design, protocol)
        rates: dict[str, list[float]] = {"analog_fhn": [], "spicelib": []}
        found: dict[str, list[np.ndarray]] = {"analog_fhn": [], "spicelib": []}
        for _ in range(REPEATS):
            begun, used = time.perf_counter(), cpu()
            cells = design.chip(SEED).hardware[0].cells
            mean = Spice(workers=PARALLEL).respond(cells, np.full((1, N_RUNS), DRIVE), protocol).mean[0]
            seconds = time.perf_counter() - begun
            found["analog_fhn"].append(mean * design.cells[0].volts_per_x)
            rates["analog_fhn"].append(N_RUNS / seconds)
            report("analog_fhn", protocol, seconds, cpu() - used, found["analog_fhn"][-1])

            theirs = measure(peer, deck, tmp_path, **task)
            found["spicelib"].append(np.array(theirs["means"]))
            rates["spicelib"].append(N_RUNS / theirs["seconds"])
            report("spicelib", protocol, theirs["seconds"], theirs["cpu"], found["spicelib"][-1])
        assert [len(v) for v in found["analog_fhn"]] == [len(v) for v in found["spicelib"]] == [N_RUNS] * REPEATS
        assert np.isfinite(found["analog_fhn"]).all()
        assert np.isfinite(found["spicelib"]).all()

        identical = {name: np.array_equal(*values) for name, values in found.items()}
        ratio = np.median(rates["analog_fhn"]) / np.median(rates["spicelib"])
        print(f"         ratio {ratio:.2f}")
        for name, same in identical.items():
            print(f"         {name} with the same seed: {'identical' if same else 'different'}")
        assert identical["analog_fhn"]

        drawn = {name.removeprefix("part_"): np.array(values) for name, values in theirs["parts"].items()}
        copied = with_neurons(cells, **drawn)
        again = Spice(workers=PARALLEL, check=False).respond(copied, np.full((1, N_RUNS), DRIVE), protocol).mean[0]
        deviation = np.abs(again * design.cells[0].volts_per_x - found["spicelib"][-1]).max()
        print(f"         our runs with the parts that spicelib drew agree with its runs to {deviation:.1e} V")
        assert deviation < 1e-6


FAULTS = {
    "undefined subcircuit": ("add_instruction", "Xbad x 0 nosuch"),
    "Cx = -1 nF": ("set_parameter", "part_cx", "-1e-09"),
    "R1 = NaN": ("set_parameter", "part_r1", "nan"),
}
# The same in our decks, and what the log then says.
EDITS: dict[str, tuple[Callable[[str], str], str]] = {
    "undefined subcircuit": (lambda deck: deck.replace(".tran", "Xbad x 0 nosuch\n.tran"), "unknown subckt"),
    "Cx = -1 nF": (lambda deck: with_part(deck, "cx", "-1e-09"), "too small"),
}


def print_theirs(study: dict | str) -> None:
    if isinstance(study, str):
        print(f"  spicelib     raises {study}")
        return
    results = ["None" if mean is None else f"{mean:.3f}" for mean in study["means"]]
    print(f"  spicelib     no exception, results [{', '.join(results)}], failSim = {study['failed']}")


def test_one_run_fails(tmp_path, peer, monkeypatch):
    protocol = LENGTHS[0]
    design = make_design(1, protocol, n_classes=2)
    deck, parts = for_peer(design, protocol)
    task = {"runs": N_FEW, "parallel": PARALLEL, "seed": SEED, "window": window(design, protocol)}
    theirs = measure(peer, deck, tmp_path, do="faults", broken=BROKEN, parts=parts, faults=FAULTS, **task)
    plain = neuron_deck(design.chip(None).hardware[0].cells, 0, DRIVE, protocol)
    probe = measure(peer, f"* {plain}", tmp_path, do="probe", parts={}, **task)

    def sweep() -> list[Trial]:
        backend = Spice(workers=PARALLEL, keep=tmp_path / "kept")
        return run_chips(design, np.ones((1, 1)), np.zeros(1, dtype=int), N_FEW, SEED, backend=backend)

    print(f"\nrun {BROKEN + 1} of {N_FEW} fails")
    for name, (edit, said) in EDITS.items():

        def broken(cells: CircuitCells, *arguments, edit=edit, **options):
            deck = neuron_deck(cells, *arguments, **options)
            spoilt = design.chip(chip_seed(SEED, BROKEN)).last.cells
            return edit(deck) if np.array_equal(cells.dynamics.p, spoilt.dynamics.p) else deck

        monkeypatch.setattr(spice, "neuron_deck", broken)
        trials = sweep()
        print(f"{name}\n  analog_fhn   rows {[t.status for t in trials]}, message: {trials[BROKEN].message}")
        print_theirs(theirs[name])
        assert [t.status for t in trials] == ["failed" if k == BROKEN else "done" for k in range(N_FEW)]
        kept = sorted(path.suffix for path in (tmp_path / "kept").iterdir())
        assert kept == [".cir", ".log"]
        assert said in next((tmp_path / "kept").glob("*.log")).read_text()
        shutil.rmtree(tmp_path / "kept")
        assert isinstance(theirs[name], str) or len(theirs[name]["means"]) == N_FEW
    monkeypatch.undo()

    nan = with_neurons(design.chip(None).hardware[0].cells, r1=np.array([np.nan]))
    with pytest.raises(ValueError, match="nan cannot stand in a netlist") as refused:
        Spice().respond(nan, np.full((1, 1), DRIVE), protocol)
    print(f"R1 = NaN\n  analog_fhn   ValueError before the run: {refused.value}")
    print_theirs(theirs["R1 = NaN"])
    print(f"spicelib, netlist as it is, tolerances of R and C: {probe['untouched']} value in {N_FEW} runs")
    print(f"spicelib, prepare_testbench: {probe['testbench']}")
    print(f"spicelib, analyse_measurement: {probe['measurement']}")
