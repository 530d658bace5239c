"""A sweep beside the matrix products that it cannot do without: 784-100-10 network, MNIST's test images, `discrete`."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from threadpoolctl import threadpool_limits

from analog_fhn._support.threads import usable_cores
from analog_fhn.data import load
from analog_fhn.training.plain import train_plain

CORES = usable_cores()
MEMORY_LIMIT = 2e9

PLAN = {"network": "net.npz", "technology": "discrete", "dataset": "mnist", "seed": 0, "specification": 0.97}


def products(n_images):
    """Seconds of both layers' products on all cores, in the single precision of the sweep; best of 20."""
    rng = np.random.default_rng(0)
    images = rng.random((n_images, 784), dtype=np.float32)
    first, second = (rng.standard_normal(shape, dtype=np.float32) for shape in ((784, 100), (100, 10)))
    best = np.inf
    with threadpool_limits(CORES):
        for _ in range(20):
            start = time.perf_counter()
            _ = (images @ first) @ second
            best = min(best, time.perf_counter() - start)
    return best


def family(pid):
    """A process and all its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(child)
    return found


def memory(pid):
    """Bytes of a process and its descendants, shared pages counted once."""
    total = 0
    for member in family(pid):
        try:
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        except (OSError, ProcessLookupError):
            continue
        total += next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return total


def sweep(folder, chips, images):
    """Wall seconds and peak memory of the command, and what it says."""
    plan = folder / f"{chips}_{images}.yaml"
    plan.write_text(yaml.safe_dump(PLAN | {"chips": chips, "images": images}))
    target = folder / f"{chips}_{images}.json"
    command = [sys.executable, "-m", "analog_fhn", "sweep", plan, "-o", folder / f"{chips}_{images}", "--json", target]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        peak = 0
        while process.poll() is None:
            with contextlib.suppress(OSError, ProcessLookupError):
                peak = max(peak, memory(process.pid))
            time.sleep(0.5)
    assert process.returncode == 0
    return time.perf_counter() - start, peak, json.loads(target.read_text())


@pytest.mark.slow
def test_thousand_chips(tmp_path):
    train = load("mnist", "train")
    train_plain(train).network(train.scale).save(tmp_path / "net.npz")
    sweep(tmp_path, 2, 100)  # compiles
    print(f"\nload {os.getloadavg()[0]:.1f}, {CORES} cores")
    print("chips   images   seconds   of products alone   ratio   peak memory   median     yield at 97 %")
    for chips, images in ((10, 10000), (100, 10000), (1000, 1000), (1000, 10000)):
        before = products(images)
        seconds, peak, found = sweep(tmp_path, chips, images)
        alone = chips * min(before, products(images))
        print(
            f"{chips:5}   {images:6}   {seconds:7.1f}   {alone:17.1f}   {seconds / alone:5.2f}   "
            f"{peak / 1e6:8.0f} MB   {100 * found['median_accuracy']:.2f} %   {100 * found['yield']:.1f} %"
        )
        assert found["n_trials"] == chips
        assert found["n_failed"] == 0
        assert peak < MEMORY_LIMIT
    print(f"load {os.getloadavg()[0]:.1f}")
