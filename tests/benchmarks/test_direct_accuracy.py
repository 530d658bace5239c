"""`direct` beside `reference` for the ideal neuron, a = 1, eps = 0.01: period, waveform, rest point, step halving."""

import numpy as np
import pytest

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.reference import Reference
from analog_fhn.cell.base import Cells
from analog_fhn.neuron import FHN, Protocol, cycle_from_samples, waveform_rms

DRIVES = (-2.5, -1.9, -1.5, -1.0, -0.5, 0.3)


@pytest.mark.slow
def test_direct_beside_reference():
    cells = Cells.ideal("sigmoid", FHN(), len(DRIVES))
    protocol = Protocol(settle=20.0, control=20.0, interval=0.005)
    runs = {
        name: backend.respond(cells, np.array([DRIVES]), protocol, samples=True)
        for name, backend in (("exact", Reference()), ("direct", Direct()), ("half", Direct(refine=2)))
    }
    print("\ndrive   regime   period error   waveform rms   rest error   halving: period   waveform    mean of x")
    for k, drive in enumerate(DRIVES):
        x = {name: run.samples[:, 0, k].astype(float) for name, run in runs.items()}
        cycles = {name: cycle_from_samples(protocol.sample_times, values) for name, values in x.items()}
        mean = runs["direct"].mean[0, k] - runs["half"].mean[0, k]
        if cycles["exact"] is None:
            error, halving = x["direct"][-1] - x["exact"][-1], x["direct"][-1] - x["half"][-1]
            print(f"{drive:5.1f}   rests    {'':30}{error:+12.1e}   {halving:+15.1e}   {'':9}  {mean:+.1e}")
            assert abs(error) < 1e-3
            continue
        period = cycles["direct"].period / cycles["exact"].period - 1
        rms = waveform_rms(cycles["direct"], cycles["exact"])
        halved = cycles["direct"].period / cycles["half"].period - 1
        rms_halved = waveform_rms(cycles["direct"], cycles["half"])
        print(
            f"{drive:5.1f}   spikes   {period:+12.1e}   {rms:12.1e}   {'':10}   {halved:+15.1e}   "
            f"{rms_halved:9.1e}  {mean:+.1e}"
        )
        assert abs(period) < 1e-3
        assert rms < 1e-3
