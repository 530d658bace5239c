"""Steps from pre-activations to rows in JAX that several layers share; this module loads JAX."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from analog_fhn.cell.base import Curve


def drives(z: Any, gain: Any, slope: Any, shift: Any = 0.0, offset: Any = 0.0, curve: Curve = "tanh") -> Any:
    """Drives of neurons behind a stage with this curve; see `analog_fhn.cell.base.DriveStage`."""
    argument = slope * z + shift
    return gain * (jnp.clip(argument, 0.0, 1.0) if curve == "ramp" else jnp.tanh(argument)) + offset


def with_way_back(forward: Any, surrogate: Any) -> Any:
    """The values of `forward` with the gradient of `surrogate`."""
    return jax.lax.stop_gradient(forward) + (surrogate - jax.lax.stop_gradient(surrogate))


def mean_between(drive: Any, low: Any, high: Any, nodes: Any) -> Any:
    """Values interpolated at drives (..., n); beyond the ends those of the ends.

    Parameters
    ----------
    low, high
        First and last drive of each neuron's even grid, shape (n,) or (1,).
    nodes
        Values at the grid's drives, shape (n or 1, n_drives, ...).
    """
    cells = nodes.shape[1] - 1
    place = jnp.clip((drive - low) / (high - low), 0.0, 1.0) * cells
    cell = jnp.minimum(jax.lax.stop_gradient(place).astype(jnp.int32), cells - 1)
    one, other = _at(nodes, cell), _at(nodes, cell + 1)
    share = place - cell
    return one + (share[..., None] if one.ndim > share.ndim else share) * (other - one)


def _at(nodes: Any, cell: Any) -> Any:
    """Nodes (n or 1, n_drives, ...) at cell (..., n)."""
    if nodes.shape[0] == 1:
        return nodes[0][cell]
    return nodes[jnp.arange(cell.shape[-1]), cell]
