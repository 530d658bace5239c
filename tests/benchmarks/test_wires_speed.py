"""`circuit.wires` beside badcrossbar: 784 x 200 devices of 1 to 100 uS, 1 ohm from each to the next."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

R = 1.0

OURS = """
import warnings
from analog_fhn.array import wires
warnings.simplefilter("ignore", wires.WireLossWarning)
def currents(g, v):
    return v @ wires.effective_conductance(g, wires.Wires({r}, {r}))
currents(g[:70, :70], v[:, :70])  # compiles, or loads what was compiled
"""

PEER = """
import logging
from badcrossbar.compute import compute
logging.disable()
def currents(g, v):
    return compute(v.T, 1.0 / g, {r}, node_voltages=False, all_currents=False).currents.output
currents(g[:7, :7], v[:, :7])
"""

MEASURE = """
import json, resource, sys, time
import numpy as np
g, v = np.load("g.npy"), np.load("v.npy")[: int(sys.argv[1])]
{setup}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
np.save("i.npy", currents(g, v))
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({{"seconds": seconds, "peak": peak / 2**10, "more": (peak - before) / 2**10}}))
"""


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    """Folder with badcrossbar; it runs with our NumPy and SciPy, and without pycairo, which only its plots need."""
    folder = tmp_path_factory.mktemp("peer")
    packages = ["badcrossbar==1.1.0", "pathvalidate>=3"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *packages]
    subprocess.run(command, check=True)
    return folder


def measure(folder, setup, n_inputs, **environment):
    script = MEASURE.format(setup=setup.format(r=R))
    command = [sys.executable, "-W", "ignore", "-c", script, str(n_inputs)]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | environment)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1]), np.load(folder / "i.npy")


@pytest.mark.slow
def test_wires_beside_badcrossbar(tmp_path, peer):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "g.npy", rng.uniform(1e-6, 100e-6, (784, 200)))
    np.save(tmp_path / "v.npy", rng.uniform(0, 1, (100, 784)))
    print(f"\n784 x 200, {R:g} ohm, {os.cpu_count()} cores")
    print("inputs   program         seconds   peak memory   above the start   load")
    for n_inputs in (1, 100):
        found = {}
        for name, setup, path in (("badcrossbar", PEER, {"PYTHONPATH": str(peer)}), ("analog_fhn", OURS, {})):
            figures, found[name] = measure(tmp_path, setup, n_inputs, **path)
            print(
                f"{n_inputs:6d}   {name:12} {figures['seconds']:10.2f}   {figures['peak']:8.0f} MiB   "
                f"{figures['more']:11.0f} MiB   {os.getloadavg()[0]:4.1f}"
            )
            found[name + " s"] = figures["seconds"]
        deviation = np.abs(found["analog_fhn"] / found["badcrossbar"].reshape(n_inputs, -1) - 1).max()
        ratio = found["badcrossbar s"] / found["analog_fhn s"]
        print(f"{n_inputs:6d}   {ratio:.1f} times faster, currents agree to {deviation:.1e}")
        assert deviation < 1e-9
