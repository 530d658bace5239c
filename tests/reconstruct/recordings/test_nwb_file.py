"""Intracellular recordings in NWB files, as pynwb writes them."""

from __future__ import annotations

import datetime
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pynwb")
import pynwb

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.recordings.clamp_files import read_current_clamp

N = 4000
CURRENTS = 1e-12 * np.array([-20.0, 0.0, 20.0, 40.0, 60.0])
FACTOR = 1e-3 / 32  # V of a unit of the stored whole numbers


def current(amplitude: float, n: int = N) -> FloatArray:
    return np.where((np.arange(n) >= 1000) & (np.arange(n) < 3000), amplitude, 0.0)


def voltage(k: int) -> FloatArray:
    """-60 mV, k spikes to 30 mV in the step, in units of `FACTOR`."""
    v = np.full(N, -0.06)
    for begin in range(1100, 1100 + 300 * k, 300):
        v[begin : begin + 20] = 0.03
    return v


def write(
    path: Path,
    *,
    numbered: bool = True,
    clamp: str = "CurrentClamp",
    stimuli: int = 5,
    shorter: int = 0,
    test_pulses: int = 0,
    rates: tuple[float, float] = (20_000.0, 20_000.0),
    numbers: int = 5,
) -> Path:
    """Sweeps in a shuffled order, packed as other programs pack them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sweep numbers are deprecated, and in most files
        file = pynwb.NWBFile("cell", "1", datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        device = file.create_device("amplifier")
        electrode = file.create_icephys_electrode(name="E1", description="pipette", device=device)
        responses = getattr(pynwb.icephys, f"{clamp}Series")
        stimulus = getattr(pynwb.icephys, f"{clamp}StimulusSeries")
        for k in range(test_pulses):
            common = {"rate": 20_000.0, "electrode": electrode, "gain": 1.0, "sweep_number": 100 + k}
            file.add_acquisition(pynwb.icephys.VoltageClampSeries(name=f"a{k}", data=np.zeros(N), **common))
        for k in (3, 0, 4, 1, 2):
            number: dict[str, Any] = {"sweep_number": k % numbers} if numbered else {"starting_time": 10.0 * k}
            common = {"rate": rates[k % 2], "electrode": electrode, "gain": 1.0, **number}
            stored = np.round(voltage(k) / FACTOR).astype(np.int16)
            data = pynwb.H5DataIO(stored, compression="gzip")
            file.add_acquisition(responses(name=f"r{9 - k}", data=data, conversion=FACTOR, **common))
            if k < stimuli:
                injected = current(CURRENTS[k], N - shorter)
                file.add_stimulus(stimulus(name=f"s{k}", data=injected, conversion=1.0, **common))
        with pynwb.NWBHDF5IO(str(path), "w") as io:
            io.write(file)
    return path


@pytest.mark.parametrize("numbered", [True, False])
def test_responses_and_stimuli_find_each_other(tmp_path: Path, numbered: bool) -> None:
    clamp = read_current_clamp(write(tmp_path / "cell.nwb", numbered=numbered))
    np.testing.assert_allclose(clamp.currents, CURRENTS)
    assert clamp.step == pytest.approx(5e-5)
    assert [(s.sweep, s.start, s.stop, s.amplitude) for s in clamp.steps] == [
        (k, 1000, 3000, pytest.approx(CURRENTS[k])) for k in range(5)
    ]
    assert [len(clamp.spikes(step)) for step in clamp.steps] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(clamp.voltage[2], voltage(2), atol=FACTOR)
    assert "voltage from channel 1 'E1' (V), current from the protocol's 'E1' (A)" in clamp.report


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clamp": "VoltageClamp"}, "voltage clamp: the command 'E1' (V) is a voltage"),
        ({"stimuli": 0}, "the file has no stimuli; expected a protocol of current steps"),
        ({"stimuli": 3}, "does not say which stimulus belongs to which response"),
        ({"shorter": 10}, "stimuli and responses have different numbers of samples"),
        ({"numbers": 3}, "several stimuli, or responses, have one sweep number"),
        ({"test_pulses": 2}, "holds 2 VoltageClampSeries of 'E1', 5 CurrentClampSeries of 'E1'; expected as many"),
        ({"rates": (2e4, 4e4)}, "CurrentClampSeries of electrode 'E1' have 20000 to 40000 samples a second"),
    ],
)
def test_what_is_no_current_clamp_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        read_current_clamp(write(tmp_path / "cell.nwb", **options))
    assert message in str(error.value)
    assert "cell.nwb" in str(error.value)


def test_stimuli_are_those_of_the_same_clamp(tmp_path: Path) -> None:
    clamp = read_current_clamp(write(tmp_path / "cell.nwb", test_pulses=5), command="E1")
    np.testing.assert_allclose(clamp.currents, CURRENTS)


def test_a_file_without_electrodes_is_refused(tmp_path: Path) -> None:
    file = pynwb.NWBFile("cell", "1", datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    file.add_acquisition(pynwb.TimeSeries(name="field", data=np.zeros(10), rate=1000.0, unit="V"))
    with pynwb.NWBHDF5IO(str(tmp_path / "field.nwb"), "w") as io:
        io.write(file)
    with pytest.raises(InputError, match=r"field\.nwb: holds TimeSeries; expected CurrentClampSeries"):
        read_current_clamp(tmp_path / "field.nwb")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    whole = write(tmp_path / "cell.nwb").read_bytes()
    path = tmp_path / "cut.nwb"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"cut\.nwb.*(is empty|cannot be read)"):
        read_current_clamp(path)
