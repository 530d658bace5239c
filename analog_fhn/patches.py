"""Where a linear map is used on an image: patch by patch (convolution), and what is averaged in front of it (pooling).

Values of an image or of a layer stand in one row: line by line, within a line place by place, the channels of a place
last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from analog_fhn.errors import InputError, shown

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
Shape = tuple[int, int, int]

_NONE: Padding = ((0, 0), (0, 0))
_MOST_VALUES = 2**24  # of one image; beyond it a description is a mistake


@dataclass(frozen=True)
class _Windows:
    """Windows that are moved over a layer's values.

    Parameters
    ----------
    shape
        Lines, places per line and channels of the values.
    size
        Lines and places per line of a window.
    strides
        Distance from window to window, down and along.
    padding
        Lines added (above, below), and places (left, right).
    """

    shape: Shape
    size: Pair
    strides: Pair = (1, 1)
    padding: Padding = _NONE

    def __post_init__(self) -> None:
        what = type(self).__name__
        for name, expected in (("shape", (3, 1)), ("size", (2, 1)), ("strides", (2, 1))):
            object.__setattr__(self, name, _whole(f"{what} {name}", getattr(self, name), *expected))
        pairs = self.padding if isinstance(self.padding, list | tuple) else ()
        if len(pairs) != 2:
            raise InputError(f"{what} padding {shown(self.padding)}: expected ((above, below), (left, right))")
        padding = tuple(_whole(f"{what} padding", pair, 2, 0) for pair in pairs)
        object.__setattr__(self, "padding", padding)
        lines, places, channels = self.shape
        total = (lines + sum(padding[0])) * (places + sum(padding[1])) * channels
        if total > _MOST_VALUES:
            raise InputError(f"{what} of shape {self.shape}: {total} values; expected at most {_MOST_VALUES}")
        if min(self.positions) < 1:
            raise InputError(
                f"{what} of size {self.size} does not fit into {lines} x {places} values with padding {self.padding}"
            )

    @property
    def _reach(self) -> Pair:
        """Lines and places per line from a window's first to its last value."""
        return self.size

    @property
    def positions(self) -> Pair:
        """Numbers of windows, down and along."""
        lengths = zip(self.shape, self.padding, self._reach, self.strides, strict=False)
        down, along = ((n + sum(pad) - reach) // stride + 1 for n, pad, reach, stride in lengths)
        return down, along

    @property
    def n_inputs(self) -> int:
        """Number of values of the layer before, without padding."""
        return prod(self.shape)

    @property
    def n_positions(self) -> int:
        """Number of windows."""
        return prod(self.positions)

    def _padded(self, values: NDArray[np.floating], fill: Any) -> NDArray[np.floating]:
        """Values (n, n_inputs) as (n, lines, places, channels) with their padding."""
        images = values.reshape(len(values), *self.shape)
        if self.padding == _NONE:
            return images
        (above, below), (left, right) = self.padding
        lines, places, channels = self.shape
        padded = np.empty((len(values), lines + above + below, places + left + right, channels), dtype=values.dtype)
        padded[...] = np.asarray(fill, dtype=values.dtype)
        padded[:, above : above + lines, left : left + places] = images
        return padded

    def _unpadded(self, padded: NDArray[np.floating]) -> NDArray[np.floating]:
        """Values (n, n_inputs) of `_padded`."""
        (above, _), (left, _) = self.padding
        inside = padded[:, above : above + self.shape[0], left : left + self.shape[1]]
        return np.ascontiguousarray(inside).reshape(len(padded), -1)

    def _windows(self, padded: NDArray[np.floating]) -> NDArray[np.floating]:
        """View of all windows, shape (n, down, along, channels, lines, places)."""
        down, along = self.strides
        windows: NDArray[Any] = sliding_window_view(padded, list(self._reach), (1, 2))  # type: ignore[call-overload]
        return windows[:, ::down, ::along]


@dataclass(frozen=True)
class Patches(_Windows):
    """The patches that a convolution's array is used on, one after another, line by line.

    Parameters
    ----------
    shape, size, strides, padding
        Lines, places per line and channels of the layer before; lines and places per line of a patch; distance from
        patch to patch, down and along; lines added (above, below), and places (left, right).
    dilation
        Distance of neighbouring values of a patch, down and along.
    fill
        Value of what is added, for all channels or one for each.

    Raises
    ------
    InputError
        If a number is out of range, or no patch fits into the values.
    """

    dilation: Pair = (1, 1)
    fill: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "dilation", _whole("Patches dilation", self.dilation, 2, 1))
        super().__post_init__()
        fill = np.atleast_1d(np.asarray(self.fill, dtype=np.float64))
        if fill.shape not in ((1,), (self.shape[2],)) or not np.isfinite(fill).all():
            raise InputError(f"Patches fill {shown(self.fill)}: expected a number, or {self.shape[2]}, one per channel")
        object.__setattr__(self, "fill", float(fill[0]) if len(set(fill.tolist())) == 1 else tuple(fill.tolist()))

    @property
    def _reach(self) -> Pair:
        lines, places = ((n - 1) * step + 1 for n, step in zip(self.size, self.dilation, strict=True))
        return lines, places

    @property
    def n_rows(self) -> int:
        """Number of values of a patch: rows of the array, without the bias."""
        return prod(self.size) * self.shape[2]

    def take(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """All patches of values (n, n_inputs), shape (n n_positions, n_rows).

        A patch's values stand line by line as those of an image do; all patches of an image come one after another.
        """
        windows = self._windows(self._padded(values, self.fill))
        windows = windows[..., :: self.dilation[0], :: self.dilation[1]]
        return np.ascontiguousarray(windows.transpose(0, 1, 2, 4, 5, 3)).reshape(-1, self.n_rows)

    def gathered(self, slopes: NDArray[np.floating]) -> NDArray[np.floating]:
        """Transpose of `take`: slopes in patches (n n_positions, n_rows) as slopes in values (n, n_inputs)."""
        windows = slopes.reshape(-1, *self.positions, *self.size, self.shape[2])
        padded = self._padded(np.zeros((len(windows), self.n_inputs), dtype=slopes.dtype), 0.0).copy()
        (down, along), (lines, places) = self.strides, self.positions
        for i in range(self.size[0]):
            for j in range(self.size[1]):
                first, left = i * self.dilation[0], j * self.dilation[1]
                rows = slice(first, first + (lines - 1) * down + 1, down)
                padded[:, rows, left : left + (places - 1) * along + 1 : along] += windows[:, :, :, i, j]
        return self._unpadded(padded)


@dataclass(frozen=True)
class AveragePool(_Windows):
    """Means over windows, channel by channel.

    Parameters
    ----------
    shape, size, strides, padding
        As for `Patches`.
    count_padding
        Whether what is added counts, as zeros; otherwise a mean is over the values that are there.

    Raises
    ------
    InputError
        If a number is out of range, or no window fits into the values.
    """

    count_padding: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        (above, below), (left, right) = self.padding
        if max(above, below) >= self.size[0] or max(left, right) >= self.size[1]:
            raise InputError(f"AveragePool padding {self.padding}: expected less than its size, {self.size}")

    @property
    def output_shape(self) -> Shape:
        """Lines, places per line and channels of the means."""
        return (*self.positions, self.shape[2])

    @property
    def n_outputs(self) -> int:
        """Number of means."""
        return prod(self.output_shape)

    def __call__(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Means of values (n, n_inputs), shape (n, number of means), in the order of an image's values."""
        return self._sums(values) / self._counts(values.dtype)

    def gathered(self, slopes: NDArray[np.floating]) -> NDArray[np.floating]:
        """Transpose of the means: slopes in them (n, n_outputs) as slopes in the values (n, n_inputs)."""
        shares = (slopes / self._counts(slopes.dtype)).reshape(-1, *self.output_shape)
        padded = self._padded(np.zeros((len(slopes), self.n_inputs), dtype=slopes.dtype), 0.0).copy()
        (down, along), (lines, places) = self.strides, self.positions
        for i in range(self.size[0]):
            for j in range(self.size[1]):
                rows = slice(i, i + (lines - 1) * down + 1, down)
                padded[:, rows, j : j + (places - 1) * along + 1 : along] += shares
        return self._unpadded(padded)

    def _counts(self, dtype: Any) -> NDArray[np.floating]:
        """Number of values of each mean, shape (1, n_outputs) or ()."""
        if self.count_padding or self.padding == _NONE:
            return np.asarray(prod(self.size), dtype=dtype)
        return self._sums(np.ones((1, self.n_inputs), dtype=dtype))

    def _sums(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        padded, (down, along) = self._padded(values, 0.0), self.strides
        lines, places = self.positions
        sums = np.zeros((len(values), *self.output_shape), dtype=values.dtype)
        for i in range(self.size[0]):
            for j in range(self.size[1]):
                sums += padded[:, i : i + (lines - 1) * down + 1 : down, j : j + (places - 1) * along + 1 : along]
        return sums.reshape(len(values), -1)


@dataclass(frozen=True)
class Front:
    """What stands between a layer's values and the rows of the next array.

    Parameters
    ----------
    pools
        Means over windows, the first one first.
    patches
        Patches that the array is used on; None: it is used once, on all values.
    """

    pools: tuple[AveragePool, ...] = ()
    patches: Patches | None = None

    @property
    def n_inputs(self) -> int | None:
        """Number of values of the layer before; None: nothing stands here, and the array tells it."""
        if self.pools:
            return self.pools[0].n_inputs
        return None if self.patches is None else self.patches.n_inputs

    @property
    def n_positions(self) -> int:
        """How many times the array is used on an image."""
        return 1 if self.patches is None else self.patches.n_positions

    def unfilled(self) -> Front:
        """The same with zeros added around the values."""
        return self if self.patches is None else replace(self, patches=replace(self.patches, fill=0.0))

    def rows(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """What the rows are given of values (n, n_inputs), shape (n n_positions, n_rows)."""
        values = self.pooled(values)
        return values if self.patches is None else self.patches.take(values)

    def pooled(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Values (n, n_inputs) behind the means, in front of the patches."""
        for pool in self.pools:
            values = pool(values)
        return values

    def gathered(self, slopes: NDArray[np.floating]) -> NDArray[np.floating]:
        """Transpose of `rows`: slopes in the rows (n n_positions, n_rows) as slopes in the values (n, n_inputs)."""
        slopes = slopes if self.patches is None else self.patches.gathered(slopes)
        for pool in reversed(self.pools):
            slopes = pool.gathered(slopes)
        return slopes


PLAIN = Front()
"""Nothing stands in front: an array is used once, on all values as they are."""


def fronts_between(stack: Iterable[Patches | AveragePool | None]) -> tuple[Front, ...]:
    """What stands in front of each linear map of a stack.

    Parameters
    ----------
    stack
        In the order of the data flow: means, and for each linear map its patches, or None where it is used once.
    """
    fronts: list[Front] = []
    pools: list[AveragePool] = []
    for one in stack:
        if isinstance(one, AveragePool):
            pools.append(one)
        else:
            fronts.append(Front(tuple(pools), one))
            pools = []
    return tuple(fronts)


def held_between(fronts: Sequence[Front]) -> tuple[bool, ...]:
    """Whether what each linear map but the last gives is held until the next one reads it.

    It is where the map itself or the one behind it is used more than once on an image, and where means are taken.
    """
    return tuple(max(one.n_positions, other.n_positions) > 1 or bool(other.pools) for one, other in pairwise(fronts))


def same_padding(shape: Shape, size: Pair, strides: Pair, dilation: Pair = (1, 1)) -> Padding:
    """Padding for a window at each value, or with strides at as many as they come to, as Keras and ONNX have it.

    Of an odd number one more is below and on the right.

    Parameters
    ----------
    shape, size, strides, dilation
        As for `Patches`.
    """
    edges = []
    for n, k, stride, step in zip(shape, size, strides, dilation, strict=False):
        total = max((-(-n // stride) - 1) * stride + (k - 1) * step + 1 - n, 0)
        edges.append((total // 2, total - total // 2))
    return edges[0], edges[1]


def _whole(name: str, value: Any, count: int, least: int) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, list | tuple) else ()
    if len(numbers) != count or any(type(n) is not int or n < least for n in numbers):
        raise InputError(f"{name} {shown(value)}: expected {count} whole numbers from {least}")
    return numbers
