"""Checks what is installed and whether all backends tell the same story about the same neuron."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import numpy as np

from analog_fhn._support.hashing import sha256
from analog_fhn._support.progress import Progress
from analog_fhn.backends import BACKENDS
from analog_fhn.cell.base import Cells
from analog_fhn.design import Design
from analog_fhn.errors import InputError, MissingProgramError, SimulationError
from analog_fhn.inference import make_backend
from analog_fhn.network import Network
from analog_fhn.neuron import Cycle, Protocol, cycle, cycle_from_samples, waveform_rms
from analog_fhn.technology.foundry import Kit
from analog_fhn.technology.silicon import SiliconTechnology
from analog_fhn.technology.technology import Technology

# Agreement with the coefficient ODE of the same chip: solver error for the first three, circuit physics that the
# nine coefficients leave out (lag of U3 and of the multipliers) for ngspice and VACASK.
PERIOD_LIMIT = {"reference": 1e-4, "direct": 1e-3, "brian": 1e-3, "spice": 3e-3, "vacask": 3e-3}
WAVEFORM_LIMIT = {"reference": 1e-3, "direct": 1e-3, "brian": 1e-3, "spice": 1e-2, "vacask": 1e-2}
# Between the reduced equations of drawn transistor neurons and their transients: periods differ by 1.7 % (sigma).
TRANSISTOR_PERIOD, TRANSISTOR_WAVEFORM = 0.05, 0.08
PROTOCOL = Protocol(settle=10.0, control=12.0, interval=0.005)
DRIVE = -1.0


@dataclass(frozen=True)
class Check:
    """One finding: its name, whether it is as needed, what was found and what is needed."""

    name: str
    ok: bool
    found: str
    needed: str
    missing: bool = False


@dataclass(frozen=True)
class NeuronResult:
    """Period (T), its relative error and the waveform's rms against its own equations, mean of x."""

    period: float
    period_error: float
    waveform_rms: float
    mean: float


def mismatched_neuron(seed: int = 1, technology: str = "discrete") -> Cells:
    """First neuron of chip `seed` of a small network in a technology."""
    rng = np.random.default_rng(0)
    network = Network.of_weights((rng.normal(size=(4, 2)), rng.normal(size=(2, 2))))
    return Design(network, Technology.load(technology)).chip(seed).last.cells[:1]


def compare_neuron(cells: Cells, backend: str, drive: float, exact: Cycle) -> NeuronResult:
    """Run one neuron in one backend and compare it with `exact`, the cycle of its own equations.

    Raises
    ------
    MissingProgramError
        If the backend's program is absent.
    SimulationError
        If it fails, or the neuron does not oscillate.
    """
    response = make_backend(backend).respond(cells, np.array([[drive]]), PROTOCOL, samples=True)
    assert response.samples is not None
    measured = cycle_from_samples(PROTOCOL.sample_times, response.samples[:, 0, 0])
    if measured is None:
        raise SimulationError(f"{backend}: the neuron does not oscillate at drive {drive:g}")
    return NeuronResult(
        measured.period, measured.period / exact.period - 1.0, waveform_rms(measured, exact), float(response.mean[0, 0])
    )


def installed() -> list[Check]:
    """What is installed, found within seconds."""
    return [
        Check("Python", sys.version_info >= (3, 11), ".".join(map(str, sys.version_info[:3])), "3.11 or newer"),
        *(_package(name, why) for name, why in _PACKAGES.items()),
        *_ngspice(),
        _vacask(),
    ]


def examine(progress: Progress | None = None) -> tuple[list[Check], dict[str, NeuronResult]]:
    """The mismatched neuron in every backend that is installed, and whether it is as its equations say.

    Parameters
    ----------
    progress
        Called with (backends done, backends in all).
    """
    checks: list[Check] = []
    without_vacask = _vacask().missing
    cells = mismatched_neuron()
    exact = cycle(cells.dynamics, DRIVE, settle=PROTOCOL.settle)
    neuron: dict[str, NeuronResult] = {}
    for done, backend in enumerate(BACKENDS):
        if progress is not None:
            progress(done, len(BACKENDS))
        if backend == "vacask" and without_vacask:
            continue

        def run(backend: str = backend) -> NeuronResult:
            return compare_neuron(cells, backend, DRIVE, exact)

        name = f"one mismatched neuron, {backend} against its equations"
        check, result = _neuron(name, run, PERIOD_LIMIT[backend], WAVEFORM_LIMIT[backend])
        checks.append(check)
        if result is not None:
            neuron[backend] = result
    return checks, neuron


def examine_transistors(technology: str = "silicon") -> tuple[list[Check], NeuronResult | None]:
    """Where the transistor models are, and one mismatched transistor neuron in ngspice against its reduced equations.

    Without the models, or where they are others, the neuron is left out.
    """
    parts = Technology.load(technology)
    assert isinstance(parts, SiliconTechnology)
    process = parts.pdk.process
    name = f"transistor models {process.name}"
    needed = f"for technology {parts.name}; tested with {process.distribution} 0.0.11"
    try:
        file = parts.pdk.file
    except (MissingProgramError, InputError) as error:
        return [Check(name, False, str(error), needed, missing=isinstance(error, MissingProgramError))], None

    def run() -> NeuronResult:
        cells = mismatched_neuron(technology=technology)
        return compare_neuron(cells, "spice", DRIVE, cycle(cells.dynamics, DRIVE, settle=PROTOCOL.settle))

    check, result = _neuron(
        "one mismatched transistor neuron, spice against its reduced equations", run, TRANSISTOR_PERIOD,
        TRANSISTOR_WAVEFORM,
    )  # fmt: skip
    return [Check(name, True, f"{file} ({_edition(process, file)})", needed), check], result


def _edition(process: Kit, file: Path) -> str:
    """Version of the package that a file of models is from; of another file the beginning of its SHA-256."""
    try:
        package = distribution(process.distribution)
    except PackageNotFoundError:
        package = None
    if package is not None and any(Path(str(entry.locate())).resolve() == file for entry in package.files or ()):
        return f"{process.distribution} {package.version}"
    return f"SHA-256 {sha256(file.read_bytes())[:12]}..."


def _neuron(
    name: str, run: Callable[[], NeuronResult], period: float, waveform: float
) -> tuple[Check, NeuronResult | None]:
    """A neuron against its equations, and whether it is within these limits; None: it could not be run."""
    needed = f"period within {period:g}, waveform within {waveform:g}"
    try:
        result = run()
    except MissingProgramError as error:
        return Check(name, False, str(error), needed, missing=True), None
    except (SimulationError, InputError) as error:
        return Check(name, False, str(error), needed), None
    ok = abs(result.period_error) <= period and result.waveform_rms <= waveform
    deviations = f"period {result.period_error:+.1e}, waveform {result.waveform_rms:.1e}"
    return Check(name, ok, deviations, needed), result


_PACKAGES = {
    "numpy": "",
    "scipy": "",
    "numba": "",
    "PySpice": 'spice backend: pip install "analog-fhn[spice]"',
    "brian2": 'brian backend: pip install "analog-fhn[brian]"',
    "keras": 'training: pip install "analog-fhn[train]"',
    "jax": 'training: pip install "analog-fhn[train]"',
    "scikit-learn": 'the digits: pip install "analog-fhn[data]"',
    "pooch": 'the download of MNIST: pip install "analog-fhn[data]"',
    "matplotlib": 'pictures and reports: pip install "analog-fhn[plots]"',
    "h5py": 'weight files of Keras: pip install "analog-fhn[import]"',
    "safetensors": 'weight files of PyTorch: pip install "analog-fhn[import]"',
}


def _package(name: str, why: str) -> Check:
    try:
        return Check(name, True, version(name), why or "installed")
    except PackageNotFoundError:
        return Check(name, False, "not installed", why, missing=True)


def _vacask() -> Check:
    """The second simulator of circuits; where it is absent, nothing but itself is."""
    from analog_fhn.vacask import process

    needed = "for the vacask backend, where it is wanted; tested with 0.3.4.dev3"
    try:
        return Check("VACASK", True, process.version(), needed)
    except MissingProgramError as error:
        return Check("VACASK", True, str(error), needed, missing=True)


def _ngspice() -> list[Check]:
    from analog_fhn.ngspice import batch, process

    def attempt(name: str, look: Callable[[], str], needed: str) -> Check:
        try:
            return Check(name, True, look(), needed)
        except MissingProgramError as error:
            return Check(name, False, str(error), needed, missing=True)
        except SimulationError as error:
            return Check(name, False, str(error), needed)

    def cube() -> str:
        odd = process.cube_is_odd()
        return "V^3 is odd" if odd else "V^3 is even (positive for negative V); the netlists multiply instead"

    return [
        attempt("ngspice program", batch.program_version, "for exported netlists; tested with 39"),
        attempt("libngspice", process.version, "for the spice backend; tested with 39"),
        attempt("ngspice's x^3", cube, "either: known and avoided"),
    ]
