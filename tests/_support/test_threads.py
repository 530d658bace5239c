"""How many cores a process may use, and that what JAX trains does not depend on them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from analog_fhn._support.threads import usable_cores


def test_cores_are_those_of_the_process() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(("cores", "expected"), [(6, 6), (None, 1)])
def test_where_the_system_does_not_tell_they_are_those_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, expected: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert usable_cores() == expected


# With two threads XLA sums batches of this size in another order than with one.
TRAINING = """
import os, sys
if sys.argv[1] == "one core":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import numpy as np
from analog_fhn.training.fit import keras_on_jax
from analog_fhn.reconstruct.model.adam import minimise
keras = keras_on_jax()
import jax
import jax.numpy as jnp

rng = np.random.default_rng(0)
inputs = jnp.asarray(rng.normal(size=(4096, 13)), jnp.float32)
layers = [keras.Variable(rng.normal(size=size) / 4, dtype="float32") for size in ((13, 48), (48, 48), (48, 1))]

def loss(values, key):
    x = inputs[jax.random.randint(key, (1024,), 0, 4096)]
    first = jax.nn.silu(x @ values[0])
    error = jnp.mean((jax.nn.silu(first @ values[1]) @ values[2] - jnp.sin(3 * x[:, :1])) ** 2)
    return error, error

values, losses = minimise(loss, layers, steps=100, learning_rate=1e-2, seed=0, what="test", chunk=100)
print("NPROC" in os.environ, losses[-1], *(value.tobytes().hex() for value in values))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a process cannot be bound to a core here")
def test_what_is_trained_does_not_depend_on_the_cores() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "NPROC"}
    runs = [
        subprocess.Popen([sys.executable, "-c", TRAINING, cores], env=environment, stdout=subprocess.PIPE, text=True)
        for cores in ("one core", "all cores")
    ]
    one, several = (run.communicate()[0] for run in runs)
    assert one == several
    assert one.startswith("False 0.43")  # programs started from there have all cores, and the loss fell
