"""VACASK against ngspice on the same drawn circuits, and what happens when a run fails."""

from __future__ import annotations

import re
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from silicon import needs_models
from vacask_program import needs_vacask

from analog_fhn.backends.base import CircuitBackend
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.reference import Reference
from analog_fhn.backends.spice.backend import FailedRunError, Spice, run_exported
from analog_fhn.backends.table.backend import Table, default_drives
from analog_fhn.backends.vacask import Vacask
from analog_fhn.cell.base import Cells, CircuitCells
from analog_fhn.chip import ManufacturedChip
from analog_fhn.data import load
from analog_fhn.design import Design
from analog_fhn.errors import InputError, MissingProgramError, SimulationError
from analog_fhn.inference import make_backend
from analog_fhn.netlist.export import export
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, FloatArray, Protocol, cycle_from_samples
from analog_fhn.ngspice import process as ngspice
from analog_fhn.technology.foundry import KITS, VARIABLE
from analog_fhn.technology.technology import Technology
from analog_fhn.training.plain import train_plain
from analog_fhn.vacask import process

FINE = Protocol(settle=3.0, control=8.0, interval=0.005)
SHORT = Protocol(settle=0.0, control=1.0, interval=0.1)


def _ngspice_is_there() -> bool:
    try:
        ngspice.find_library()
    except MissingProgramError:
        return False
    return True


needs_ngspice = pytest.mark.skipif(not _ngspice_is_there(), reason="libngspice is not installed")


def few_or_ten(few: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("n", [few, pytest.param(10, marks=pytest.mark.slow)])


def chip_of(n_hidden: int, technology: str = "discrete", seed: int = 1) -> ManufacturedChip:
    rng = np.random.default_rng(0)
    network = Network.of_weights((rng.normal(size=(4, n_hidden)), rng.normal(size=(n_hidden, 2))))
    return Design(network, Technology.load(technology)).chip(seed)


def cells_of(n: int, technology: str = "discrete") -> CircuitCells:
    return chip_of(n, technology).hardware[0].cells


def periods(backend: Spice | Vacask, cells: Cells, drives: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Period, mean x and power of neurons, each under one drive."""
    response = backend.respond(cells, drives[None], FINE, samples=True)
    assert response.samples is not None
    assert response.power is not None
    cycles = [cycle_from_samples(FINE.sample_times, response.samples[:, 0, k]) for k in range(len(cells))]
    return np.array([np.nan if one is None else one.period for one in cycles]), response.mean[0], response.power[0]


def agree(cells: Cells, drives: FloatArray, period: float, mean: float) -> None:
    of_ngspice, of_vacask = (periods(engine(check=False), cells, drives) for engine in (Spice, Vacask))
    np.testing.assert_allclose(of_vacask[0], of_ngspice[0], rtol=period)
    np.testing.assert_allclose(of_vacask[1], of_ngspice[1], rtol=0, atol=mean)
    np.testing.assert_allclose(of_vacask[2], of_ngspice[2], rtol=2e-3)


@needs_ngspice
@needs_vacask
@few_or_ten(3)
def test_mismatched_opamp_neurons_are_those_of_ngspice(n: int) -> None:
    # 6e-5 and 7e-4 on ten of them; a phase that is off by 1e-3 T at both ends of the window moves the mean by 4e-4.
    agree(cells_of(n), np.linspace(-1.4, -0.6, n), period=5e-4, mean=2e-3)


@needs_models
@needs_ngspice
@needs_vacask
@few_or_ten(1)
def test_transistor_neurons_are_those_of_ngspice_with_the_same_generation_of_models(
    n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VACASK has BSIM4.8 alone; ngspice takes a card of 4.5 for what it says, which makes periods 0.08 % longer."""
    file = KITS["gf180mcu"].found()
    text = re.sub(r"(?m)^(\+version *= *)4\.5", r"\g<1>4.8", file.read_text(encoding="latin-1"))
    shutil.copytree(file.parent, tmp_path / "models")
    (tmp_path / "models" / file.name).write_text(text, encoding="latin-1")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "models"))
    agree(cells_of(n, "silicon"), np.linspace(-0.3, 0.0, n), period=6e-4, mean=5e-3)


@needs_vacask
def test_runs_begin_where_the_protocol_says_and_depend_on_nothing_else() -> None:
    cells = cells_of(3)
    drives = np.array([[-1.0, -0.5, 0.25], [-0.8, -1.2, -1.0]])
    together = Vacask(check=False).respond(cells, drives, SHORT, samples=True)
    alone = Vacask(check=False, workers=1).respond(cells[1:2], drives[1:, 1:2], SHORT, samples=True)
    assert together.samples is not None
    assert alone.samples is not None
    np.testing.assert_array_equal(together.samples[:, 1:, 1:2], alone.samples)
    assert (together.mean[1, 1], together.power[1, 1]) == (alone.mean[0, 0], alone.power[0, 0])  # type: ignore[index]
    exact = Reference().respond(cells, drives, SHORT, samples=True)
    np.testing.assert_allclose(together.samples, exact.samples, atol=0.05)  # in the midst of spikes


@needs_vacask
def test_settings_are_checked() -> None:
    cells = cells_of(1)
    assert Vacask().check_settings(cells) < 5e-4
    with pytest.raises(SimulationError, match=r"vacask reltol = 0\.05, max_step = 1 are too coarse"):
        Vacask(reltol=0.05, max_step=1.0).respond(cells, np.array([[-1.0]]), SHORT)


@pytest.mark.parametrize("settings", [{"workers": 0}, {"reltol": 0.0}, {"reltol": 1.0}, {"max_step": np.inf}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match="vacask "):
        make_backend("vacask", **settings)


def test_equations_without_components_are_refused() -> None:
    with pytest.raises(InputError, match="component values"):
        Vacask().respond(Cells.ideal("sigmoid", FHN(), 1), np.array([[-1.0]]), SHORT)


def stand_in(path: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(f"#!/bin/sh\ncase $1 in -h) echo This is vacask 1.2.; exit;; esac\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv(process.VARIABLE, str(path))


WRITES = r"""printf 'No. Variables: 6\nNo. Points: 1\nVariables:\n\t0\ttime\tn\n\t1\tx\tn\n\t2\ty\tn\n' > run.raw
printf '\t3\tvcc:flow(br)\tn\n\t4\tvee:flow(br)\tn\n\t5\tvref:flow(br)\tn\nBinary:\n' >> run.raw
"""
ZERO, NAN = r"\0\0\0\0\0\0\0\0", r"\0\0\0\0\0\0\370\177"


@pytest.mark.parametrize(
    ("body", "limit", "message"),
    [
        ("sleep 60", 0.3, r"did not end within 0\.3 s"),
        ("echo no convergence; exit 1", None, "status 1: no convergence"),
        ("true", None, "wrote no waveforms"),
        (f"{WRITES}printf '{ZERO * 6}' >> run.raw", None, "stopped at 0 s"),
        (f"{WRITES}printf '{ZERO}{NAN}{ZERO * 4}' >> run.raw", None, "not finite"),
    ],
)
def test_a_failed_run_keeps_its_deck_and_log(
    body: str, limit: float | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path / "vacask", body, monkeypatch)
    engine = Vacask(keep=tmp_path / "kept", check=False, limit=limit)
    with pytest.raises(FailedRunError, match=message) as failure:
        engine.respond(cells_of(2), np.full((2, 2), -1.0), SHORT)
    assert "control" in failure.value.deck.read_text()
    assert re.search(message, failure.value.log.read_text())
    assert failure.value.deck.suffix == ".sim"
    assert np.isnan(failure.value.partial.mean).all()


def test_without_the_program_a_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(process.VARIABLE, "/no/such/program")
    with pytest.raises(MissingProgramError, match=process.VARIABLE):
        Vacask().respond(cells_of(1), np.array([[-1.0]]), SHORT)


# --- tables -----------------------------------------------------------------------------------------------------


def test_simulators_of_circuits_are_tuned_to() -> None:
    assert [isinstance(one, CircuitBackend) for one in (Spice(), Vacask(), Direct())] == [True, True, False]
    assert default_drives("vacask", "mean") == 9


@needs_vacask
@pytest.mark.slow
def test_a_table_is_made_of_equations_tuned_to_vacask() -> None:
    cells, protocol = cells_of(2), Protocol(settle=20.0, control=100.0)
    table, drives = Table(Vacask(), 9), np.array([[-0.9, -0.6], [-0.4, 0.1]])
    means = table.respond(cells, drives, protocol).mean
    np.testing.assert_allclose(means, Vacask().respond(cells, drives, protocol).mean, atol=0.02)


# --- whole chips ------------------------------------------------------------------------------------------------


def in_both(chip: ManufacturedChip, image: FloatArray, folder: Path) -> tuple[FloatArray, FloatArray]:
    export(chip, image, folder, {}, form="full")
    return run_exported(folder), run_exported(folder, simulator="vacask")


@needs_ngspice
@needs_vacask
def test_a_small_chip_has_the_scores_of_ngspice(tmp_path: Path) -> None:
    network = Network.of_weights(
        (np.array([[0.5, -1.0], [1.0, 0.3]]), np.array([[1.0, -0.5], [-0.7, 0.8]])),
        protocol=Protocol(settle=1.0, control=4.0),
    )
    chip = Design(network, Technology.load("discrete")).chip(1)
    of_ngspice, of_vacask = in_both(chip, np.array([0.8, 0.3]), tmp_path)
    np.testing.assert_allclose(of_vacask, of_ngspice, rtol=0, atol=5e-3 * np.abs(of_ngspice).max())
    names = export(chip, np.array([0.1, 0.1]), tmp_path, {}, form="reduced")
    assert {path.name for path in tmp_path.iterdir()} == set(names)  # nothing is left of the runs
    with pytest.raises(InputError, match=r"run_vacask\.sim: there is no such file"):
        run_exported(tmp_path, simulator="vacask")


@pytest.mark.slow
@needs_ngspice
@needs_vacask
def test_a_chip_of_digits_has_the_classes_of_ngspice(tmp_path: Path) -> None:
    train, test = load("digits", "train"), load("digits", "test")
    network = train_plain(train, n_hidden=8, epochs=40).network(train.scale)
    network = replace(network, protocol=Protocol(5.0, 20.0))
    chip = Design(network, Technology.load("discrete")).chip(1)
    for k in range(3):
        of_ngspice, of_vacask = in_both(chip, test.images[k], tmp_path / str(k))
        assert of_ngspice.argmax() == of_vacask.argmax()
        np.testing.assert_allclose(of_vacask, of_ngspice, rtol=0, atol=5e-3 * np.abs(of_ngspice).max())
