"""Layers of a network from the operations of a model, one after another in the order of the data flow.

A reader calls one method per operation. Values keep their numbers while they are flattened, reshaped and transposed, so
that the rows of the next linear map find theirs in any layout. What has no unit behind it is taken into the linear map
beside it where that changes no score; all else is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from analog_fhn.errors import InputError, shown
from analog_fhn.network import check_hidden, nearest_unit
from analog_fhn.neuron import FloatArray
from analog_fhn.patches import AveragePool, Padding, Pair, Patches, Shape, same_padding
from analog_fhn.weights.linear import MOST_WEIGHTS, LinearMap, with_bias
from analog_fhn.weights.trained import StandIn, TrainedWeights, hidden_of

Pads = Padding | Literal["valid", "same", "same_lower"]
"""Lines and places that are added, or how the sizes tell them: none, or as many as give one window per stride."""

_NONE: Padding = ((0, 0), (0, 0))
_MOST_VALUES = 2**24
_ENDS = ("softmax", "logsoftmax", "argmax")  # no units: they may stand behind the outputs alone
_KEEP_ORDER = ("linear", "softmax", "log_softmax", "sigmoid", "tanh")
_COLOURS = (2, 3, 4)  # channels of an image: fewer than its lines


class Chain:
    """A model as far as it has been read: its linear maps with their units, one that waits for its unit, the values.

    Parameters
    ----------
    path
        Name of the file in messages.
    shape
        Sizes of an input without the axis of the images; None: the file does not say them.

    Raises
    ------
    InputError
        If a size is out of range.
    """

    def __init__(self, path: Path, shape: Sequence[int] | None) -> None:
        self.path = path
        self.notes: list[str] = []
        self._input_range: tuple[float, float] | None = None
        self._stand_ins: list[StandIn] = []
        self._maps: list[LinearMap] = []
        self._open: LinearMap | None = None  # it waits for its unit
        self._pools: tuple[AveragePool, ...] = ()
        # Each value's number in the order of this package, in the model's layout; None: not known how many.
        self._index: NDArray[np.intp] | None = None
        # What the next map is given is scale * value + offset: one number, or one for each value.
        self._scale: FloatArray = np.ones(())
        self._offset: FloatArray = np.zeros(())
        self._padding, self._fill = _NONE, np.zeros(())
        self._pixels = shape  # the values are the pixels in the order of the file, of these sizes
        self._untouched = True
        self._end = ""
        if shape is not None:
            if not shape or min(shape) < 1 or prod(shape) > _MOST_VALUES:
                raise InputError(
                    f"{path}: an input of the sizes {shown(list(shape))}; expected 1 to {_MOST_VALUES} values"
                )
            self._index = np.arange(prod(shape)).reshape(shape)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Sizes of the values now, without the axis of the images; None: not known."""
        return None if self._index is None else self._index.shape

    def error(self, at: str, text: str) -> InputError:
        """Refusal that names the file and the operation."""
        return InputError(f"{self.path}: {at}: {text}")

    # --- linear maps ----------------------------------------------------------------------------------------------

    def dense(self, at: str, weights: FloatArray, bias: FloatArray | None = None) -> None:
        """Linear map (n_in, n_out) of all values, which stand in one row.

        Raises
        ------
        InputError
            If they do not, or are not as many.
        """
        self._check(at)
        if weights.ndim != 2 or not weights.size:
            raise self.error(at, f"weights have shape {weights.shape}; expected a matrix")
        self._check_finite(at, weights, bias)
        if bias is not None and bias.shape != weights.shape[1:]:
            raise self.error(at, f"bias has shape {bias.shape}; expected {weights.shape[1:]}")
        if self._index is None:
            self._index = np.arange(len(weights))
        if self._index.ndim != 1:
            raise self.error(at, f"is used along the last axis of values of shape {self.shape}; flatten them in front")
        if len(self._index) != len(weights):
            raise self.error(at, f"has weights of shape {weights.shape}, but is given {len(self._index)} values")
        self._settle_pixels()
        rows = np.empty_like(weights)
        rows[self._index] = weights
        if self._open is None:
            self._begin(LinearMap(at, rows, bias, None, self._pools).of_scaled(self._scale, self._offset))
        else:
            with self._naming(at):
                self._take_together(at, self._open.then_dense(rows, bias))
        self._index = np.arange(weights.shape[1])

    def convolution(
        self, at: str, kernel: FloatArray, bias: FloatArray | None = None, *, strides: Pair = (1, 1),
        padding: Pads = "valid", dilation: Pair = (1, 1), groups: int = 1, channels_first: bool = False,
    ) -> None:  # fmt: skip
        """Linear map of patches of an image; what is added around it is 0.

        Parameters
        ----------
        kernel
            Shape (lines, places, channels of a group, n_out); on values of one dimension it has one line.
        channels_first
            Whether the channels stand before lines and places in the values.

        Raises
        ------
        InputError
            If the values are no image of such channels, or it cannot be taken together with what stands before it.
        """
        self._check(at, padded=True)
        shape, one_line = self._image(at, channels_first)
        kernel = self._grouped(at, kernel, groups, shape[2])
        n_out = kernel.shape[3]
        self._check_finite(at, kernel, bias)
        if bias is not None and bias.shape != (n_out,):
            raise self.error(at, f"bias has shape {bias.shape}; expected ({n_out},)")
        size = cast("Pair", kernel.shape[:2])
        pads = resolved(padding, shape, size, strides, dilation, self._padding)
        with self._naming(at):
            if self._open is not None:
                self._check_unpadded(at, pads)
                self._check_image(at, self._open, shape)
                self._take_together(at, self._open.then_convolution(kernel, bias, strides, dilation))
            else:
                scale, offset = self._of_channels(at, shape)
                fill = self._fill_of(at, pads, scale, offset)
                patches = Patches(shape, size, strides, _added(self._padding, pads), dilation, fill)
                weights = (kernel * scale[:, np.newaxis]).reshape(-1, n_out)
                bias = with_bias(bias, offset, kernel.sum(axis=(0, 1)))
                self._begin(LinearMap(at, weights, bias, patches, self._pools))
        assert self._open is not None
        assert self._open.patches is not None
        self._hand_on((*self._open.patches.positions, n_out), channels_first, one_line)

    def _grouped(self, at: str, kernel: FloatArray, groups: int, channels: int) -> FloatArray:
        """The kernel over all channels, with zeros where a channel is not of an output's group."""
        if kernel.ndim != 4 or not kernel.size:
            raise self.error(at, f"kernel has shape {kernel.shape}; expected one of one or two dimensions")
        *size, inside, n_out = kernel.shape
        if groups < 1 or inside * groups != channels or n_out % groups:
            raise self.error(
                at, f"takes {inside} channels in each of {groups} groups to {n_out}, but is given {channels} channels"
            )
        if groups == 1:
            return kernel
        if prod(size) * channels * n_out > MOST_WEIGHTS:
            raise self.error(at, f"{groups} groups of {inside} channels are {prod(size) * channels * n_out} weights")
        whole, each = np.zeros((*size, channels, n_out)), n_out // groups
        for k in range(groups):
            outputs = slice(k * each, (k + 1) * each)
            whole[:, :, k * inside : (k + 1) * inside, outputs] = kernel[..., outputs]
        return whole

    # --- means ----------------------------------------------------------------------------------------------------

    def average_pool(
        self, at: str, size: Pair | None = None, *, strides: Pair | None = None, padding: Pads = "valid",
        count_padding: bool = False, ceil: bool = False, channels_first: bool = False, keep: bool = True,
    ) -> None:  # fmt: skip
        """Means over windows of an image; without a size over all of it.

        Parameters
        ----------
        strides
            Distance from window to window; None: the size.
        count_padding
            Whether what is added counts, as zeros.
        ceil
            Whether a last window may reach over the edge.
        keep
            Whether lines and places remain axes of a mean over all.

        Raises
        ------
        InputError
            If the values are no image, or it cannot be taken together with what stands before it.
        """
        self._check(at, padded=True)
        shape, one_line = self._image(at, channels_first)
        front = self._padding
        size = (shape[0] + sum(front[0]), shape[1] + sum(front[1])) if size is None else size
        strides = size if strides is None else strides
        pads = resolved(padding, shape, size, strides, (1, 1), front)
        if ceil:
            pads = self._ceiled(at, shape, size, strides, pads, count_padding)
        with self._naming(at):
            if self._open is not None:
                self._check_unpadded(at, pads)
                self._check_image(at, self._open, shape)
                mean = np.broadcast_to(np.eye(shape[2]) / prod(size), (*size, shape[2], shape[2]))
                self._take_together(at, self._open.then_convolution(mean, None, strides, (1, 1)))
                assert self._open.patches is not None
                positions = self._open.patches.positions
            else:
                pool = self._pool(at, shape, size, strides, pads, count_padding)
                self._pools, positions, self._untouched = (*self._pools, pool), pool.positions, False
        self._hand_on((*positions, shape[2]), channels_first, one_line)
        if not keep:
            self.reshape(at, (-1,))

    def max_pool(
        self, at: str, size: Pair | None = None, *, strides: Pair | None = None, padding: Pads = "valid",
        ceil: bool = False, channels_first: bool = False, keep: bool = True,
    ) -> None:  # fmt: skip
        """Largest values of windows, which averages may stand in for; arguments as for `average_pool`."""
        self._stand_ins.append(
            StandIn(
                f"{self.path}: {at}: max pooling picks the largest of several values, which no part of this circuit "
                "does. Two ways out: train it with average pooling instead; or read it as average pooling (--nearest "
                "says what that costs), and train on from there (analog-fhn train --start)",
                f"{at}: max pooling read as average pooling",
            )
        )
        self.average_pool(
            at, size, strides=strides, padding=padding, ceil=ceil, channels_first=channels_first, keep=keep
        )

    def _pool(
        self, at: str, shape: Shape, size: Pair, strides: Pair, pads: Padding, count_padding: bool
    ) -> AveragePool:
        """Means with the padding in front of them; what scales and shifts the values acts on the means."""
        scale, offset = self._of_channels(at, shape)
        if self._padding != _NONE:
            if pads != _NONE or self._fill.any():
                raise self.error(at, "stands behind added lines or places; give it that padding itself")
            pads, count_padding, self._padding = self._padding, True, _NONE
        elif count_padding and pads != _NONE and offset.any():
            raise self.error(at, "counts added zeros among values that were shifted in front of it")
        pool = AveragePool(shape, size, strides, pads, count_padding and pads != _NONE)
        if self._scale.ndim or self._offset.ndim:
            self._scale, self._offset = (np.tile(part, prod(pool.positions)) for part in (scale, offset))
        return pool

    def _ceiled(self, at: str, shape: Shape, size: Pair, strides: Pair, pads: Padding, count_padding: bool) -> Padding:
        """Padding with which all windows fit that begin in the image or in front of it."""
        both = []
        for n, k, stride, (before, behind) in zip(shape, size, strides, pads, strict=False):
            last = -(-max(n + before + behind - k, 0) // stride) * stride  # where the last window begins
            if last >= n + before:
                last -= stride
            reach = last + k - n - before
            if reach > behind and (self._padding != _NONE or (count_padding and before + behind)):
                raise self.error(at, "has windows that reach over the padding; pad as much as they need")
            both.append((before, max(reach, behind)))
        return cast("Padding", tuple(both))

    # --- what is taken into linear maps -----------------------------------------------------------------------------

    def rescale(self, at: str, scale: float, offset: float, *, largest: float = 1.0) -> None:
        """One multiplication and addition for all values.

        In front of all else, to 0..1 or to -1..1, it says what the model's inputs are: the network's are from 0 to 1.

        Parameters
        ----------
        largest
            What the largest input becomes.
        """
        if self._untouched and scale > 0 and offset in (0, -1):
            self._check(at)
            self._untouched, self._input_range = False, (0.0, 1.0)
            self._scale, self._offset = np.asarray(largest - offset), np.asarray(float(offset))
            top = (largest - offset) / scale
            self.notes.append(f"{at}: where the model takes 0 to {top:g}, the network takes 0 to 1")
        else:
            self.affine(at, scale, offset)

    def affine(self, at: str, scale: float | FloatArray, offset: float | FloatArray, *, bias: bool = False) -> None:
        """Multiplication and addition by numbers that are broadcast to the values, as normalisation is.

        Parameters
        ----------
        bias
            Whether it is the bias of the map before it, of which no note tells.

        Raises
        ------
        InputError
            If they differ from place to place of a convolution, or are not finite.
        """
        self._check(at, padded=True)
        factor, term = self._spread(at, scale), self._spread(at, offset)
        self._untouched = False
        if self._open is None:
            self._scale, self._offset = factor * self._scale, factor * self._offset + term
            self.notes.append(f"{at}: taken into the weights behind it")
            return
        if self._open.patches is not None:
            n_out = self._open.n_out
            factor, term = self._same(at, factor, n_out), self._same(at, term, n_out)
        self._open = self._open.scaled(factor, term)
        if not bias:
            self.notes.append(f"{at}: taken into the weights of {self._open.at}")

    def pad(self, at: str, padding: Padding, value: float = 0.0, *, channels_first: bool = False) -> None:
        """Lines and places around an image, for the convolution or the means behind.

        Raises
        ------
        InputError
            If the values are no image, wait for their unit, or were padded before.
        """
        self._check(at)
        shape, _ = self._image(at, channels_first)
        if padding == _NONE:
            return
        if self._open is not None:
            self._check_unpadded(at, padding)
        scale, offset = self._of_channels(at, shape)
        self._padding, self._fill, self._untouched = padding, self._before_scaling(at, value, scale, offset), False

    def _spread(self, at: str, part: float | FloatArray) -> FloatArray:
        """Numbers as one, or one for each value in the order of this package."""
        values = np.asarray(part, dtype=np.float64)
        if not np.isfinite(values).all():
            raise self.error(at, "scales or shifts by what is no finite number")
        if values.size == 1:
            return values.reshape(())
        if self._index is None:
            raise self.error(
                at, "scales values of which the file does not say the sizes; save the model with its input"
            )
        try:
            full = np.broadcast_to(values, self._index.shape)
        except ValueError:
            raise self.error(at, f"scales by {values.shape} numbers values of shape {self.shape}") from None
        ordered = np.empty(self._index.size)
        ordered[self._index.ravel()] = full.ravel()
        return ordered

    def _same(self, at: str, part: FloatArray, channels: int) -> FloatArray:
        """Numbers for each value as one for each channel."""
        if part.ndim == 0:
            return np.broadcast_to(part, channels)
        rows = part.reshape(-1, channels)
        if not (rows == rows[0]).all():
            raise self.error(at, "scaling or shift differs from place to place beside a convolution or a mean")
        return np.asarray(rows[0])

    def _of_channels(self, at: str, shape: Shape) -> tuple[FloatArray, FloatArray]:
        """Scale and offset of each channel in front of the next map."""
        return self._same(at, self._scale, shape[2]), self._same(at, self._offset, shape[2])

    def _before_scaling(self, at: str, value: float, scale: FloatArray, offset: FloatArray) -> FloatArray:
        """The values that scale and offset make `value` of, one for each channel."""
        scalable = scale != 0.0
        if (offset[~scalable] != value).any():
            raise self.error(at, f"adds {value:g} around a channel that a normalisation made constant")
        return np.where(scalable, (value - offset) / np.where(scalable, scale, 1.0), 0.0)

    def _fill_of(self, at: str, pads: Padding, scale: FloatArray, offset: FloatArray) -> tuple[float, ...]:
        """What stands around the values in front of the scaling, so that the model finds its padding there."""
        fills = [self._fill] if self._padding != _NONE else []
        fills += [self._before_scaling(at, 0.0, scale, offset)] if pads != _NONE else []
        if len(fills) == 2 and not np.array_equal(fills[0], fills[1]):
            raise self.error(at, "adds zeros around lines or places that were added in front of it with another value")
        return tuple(float(value) for value in fills[0]) if fills else (0.0,)

    # --- layout -----------------------------------------------------------------------------------------------------

    def reshape(self, at: str, sizes: Sequence[int]) -> None:
        """Other sizes for the same values, without the axis of the images; -1 stands for what is left.

        Raises
        ------
        InputError
            If there are not as many values.
        """
        self._check_padding(at)
        if self._index is None:
            if len(sizes) > 1:
                raise self.error(at, "reshapes values of which the file does not say the sizes")
            return
        known = prod(size for size in sizes if size != -1)
        n, free = self._index.size, list(sizes).count(-1)
        if min(sizes, default=1) < -1 or free > 1 or known < 1 or (n % known if free else n != known):
            raise self.error(at, f"makes {shown(list(sizes))} of {n} values")
        self._index = self._index.reshape([int(size) for size in sizes])

    def transpose(self, at: str, axes: Sequence[int]) -> None:
        """Axes in another order, without that of the images, counted from 0.

        Raises
        ------
        InputError
            If they are not those of the values.
        """
        self._check_padding(at)
        if self._index is None or sorted(axes) != list(range(self._index.ndim)):
            raise self.error(
                at, f"puts axes into the order {shown(list(axes))}; the values have the sizes {self.shape}"
            )
        self._index = self._index.transpose(axes)

    def channels_last(self, at: str) -> None:
        """Move the channels from the first axis to the last."""
        if self._index is not None:
            self.transpose(at, (*range(1, self._index.ndim), 0))

    def _image(self, at: str, channels_first: bool) -> tuple[Shape, bool]:
        """Lines, places and channels of the values; whether they have one dimension only, as one line."""
        if self._index is None:
            raise self.error(
                at, "needs the size of the images, which the file does not say; save the model with its input"
            )
        if self._index.ndim not in (2, 3):
            raise self.error(
                at, f"is given values of the sizes {self.shape}; expected an image or a line, with channels"
            )
        index = np.moveaxis(self._index, 0, -1) if channels_first else self._index
        one_line = index.ndim == 2
        shape = cast("Shape", (1, *index.shape) if one_line else index.shape)
        if self._pixels is not None and np.array_equal(index.ravel(), _channels_last(shape)):
            self._order_pixels(_channels_last(shape))
        elif not np.array_equal(index.ravel(), np.arange(index.size)):
            raise self.error(at, "is given values in another order than that of an image or of the layer before")
        self._pixels = None
        self._hand_on(shape, channels_first, one_line)
        return shape, one_line

    def _hand_on(self, shape: Shape, channels_first: bool, one_line: bool) -> None:
        """Values in the order of this package, in the model's layout."""
        index = np.arange(prod(shape)).reshape(shape)
        index = index[0] if one_line else index
        self._index = np.moveaxis(index, -1, 0) if channels_first else index

    def _settle_pixels(self) -> None:
        """Order of an image's pixels in front of a dense layer: channels last, where the model has them first."""
        shape = self._pixels
        self._pixels = None
        assert self._index is not None
        if shape is None or len(shape) != 3 or shape[0] not in _COLOURS or shape[0] >= min(shape[1:]):
            return
        if shape[2] in _COLOURS:
            return
        order = _channels_last((shape[1], shape[2], shape[0]))
        self._order_pixels(order)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        self._index = place[self._index]

    def _order_pixels(self, order: NDArray[np.intp]) -> None:
        """Put what scales pixels into this order; it is noted if it is another than the file's."""
        if np.array_equal(order, np.arange(len(order))):
            return
        self._scale, self._offset = (part[order] if part.ndim else part for part in (self._scale, self._offset))
        self.notes.append(
            "pixels stand line by line, place by place, the channels of a place last; the model takes channels first"
        )

    # --- units, and the end -----------------------------------------------------------------------------------------

    def unit(self, at: str, name: str, ceiling: float | None = None) -> None:
        """Activation of the linear map before it.

        Parameters
        ----------
        name
            As frameworks have it: "sigmoid", "relu", "leaky_relu", "softmax".
        ceiling
            Largest value of a relu, where the model says it.

        Raises
        ------
        InputError
            If no linear map waits for it.
        """
        self._check(at, padded=True)
        plain = name.lower().replace("_", "").replace("-", "")
        if plain == "linear":
            return
        if plain in _ENDS:
            self._end = f"{plain} ({at})"
        elif self._open is not None:
            self._maps.append(replace(self._open.used_once(), activation=name, ceiling=ceiling))
            self._open = None
        elif plain == "relu" and self.behind_relu:
            ceilings = [c for c in (self._maps[-1].ceiling, ceiling) if c is not None]
            self._maps[-1] = replace(self._maps[-1], ceiling=min(ceilings, default=None))
        else:
            raise self.error(at, "follows no linear layer that waits for its activation")

    @property
    def behind_relu(self) -> bool:
        """Whether the values are those of a relu, as it gave them."""
        return self._nothing_since_unit and self._maps[-1].activation == "relu"

    @property
    def _nothing_since_unit(self) -> bool:
        """Whether the values are what the last unit gave, perhaps in another layout."""
        unscaled = not self._scale.ndim and self._scale == 1.0 and not self._offset.any()
        return bool(self._maps) and self._open is None and not self._pools and bool(unscaled)

    def finish(self, kind: str) -> TrainedWeights:
        """The model's layers; what stands at its end and changes no answer is left out.

        Parameters
        ----------
        kind
            Format of the file, in words.

        Raises
        ------
        InputError
            If there are less than two linear maps, or the outputs are no row of scores.
        """
        self._check_padding("the end")
        end = self._end.partition(" ")[0]
        self._end = ""
        if self._nothing_since_unit:
            end = self._reopen() or end
        outputs = self._outputs()
        if not self._maps or outputs is None:
            n = len(self._maps) + (outputs is not None)
            raise InputError(
                f"{self.path}: holds {n} linear layers with an activation between them; expected at least 2 (hidden "
                "and output)"
            )
        maps = [*map(self._with_unit, self._maps), self._scores(outputs, end)]
        return TrainedWeights(
            tuple(part.weights for part in maps),
            tuple(part.bias for part in maps),
            hidden_of([part.unit for part in maps if part.unit is not None]),
            self.path,
            kind,
            tuple(self.notes),
            self._input_range,
            layers=tuple(layer for part in maps for layer in part.layers),
            stand_ins=tuple(self._stand_ins),
        )

    def _reopen(self) -> str:
        """Take the activation off the last linear map, and name it."""
        last = self._maps.pop()
        if last.activation not in _KEEP_ORDER:
            raise self.error(
                last.at,
                f"output activation {shown(last.activation)}; expected one that keeps the largest output the largest: "
                f"{', '.join(_KEEP_ORDER)}",
            )
        self._open = replace(last, activation=None, ceiling=None)
        return last.activation

    def _outputs(self) -> LinearMap | None:
        """The last linear map, whose outputs are the scores in their order; None: there is none."""
        if self._open is None and not self._maps:
            return None
        assert self._index is not None
        sizes = [size for size in self._index.shape if size > 1] or [1]
        if len(sizes) > 1:
            raise self.error("the end", f"outputs have the sizes {self.shape}; expected one score for each class")
        order = self._index.ravel()
        self._index = order
        if self._open is None:
            self.notes.append("outputs that follow no linear layer: one of ones and zeros added")
            self.dense("the outputs", np.eye(len(order)))
        elif self._open.patches is not None or not np.array_equal(order, np.arange(len(order))):
            with self._naming(self._open.at):
                self._open = self._open.then_dense(np.eye(len(order))[:, order], None)
        return self._open

    def _scores(self, outputs: LinearMap, end: str) -> LinearMap:
        """The last linear map without the activation `end` behind it; one output becomes two."""
        if outputs.n_out == 1 and end in ("sigmoid", "tanh"):
            self.notes.append(
                f"one output with {end}: read as two classes, the second where it is above its middle (a first output "
                "of zeros added)"
            )
            bias = None if outputs.bias is None else np.pad(outputs.bias, (1, 0))
            return replace(outputs, weights=np.pad(outputs.weights, ((0, 0), (1, 0))), bias=bias)
        if end:
            self.notes.append(f"{end} of the outputs left out: the largest stays the largest")
        return outputs

    def _with_unit(self, part: LinearMap) -> LinearMap:
        """A hidden linear map with its unit, or with that which may stand in for its activation."""
        source = f"{self.path}: {part.at}"
        nearest = nearest_unit(part.activation)
        if nearest is None or nearest == part.activation:
            return replace(part, unit=check_hidden(part.activation, source))
        self._stand_ins.append(StandIn.of_unit(part.activation, nearest, source))
        return replace(part, unit=nearest)

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _begin(self, part: LinearMap) -> None:
        """Take the next linear map, and with it what stands in front of it."""
        self._open, self._pools = part, ()
        self._scale, self._offset = np.ones(()), np.zeros(())
        self._padding, self._fill = _NONE, np.zeros(())
        self._untouched = False

    def _take_together(self, at: str, both: LinearMap) -> None:
        """Keep two linear maps as one."""
        self.notes.append(f"{both.at} and {at} taken together: there is no activation between them")
        self._open = replace(both, at=at)

    def _check(self, at: str, *, padded: bool = False) -> None:
        """Refuse what stands behind the outputs, or behind lines and places that it cannot take."""
        if self._end:
            raise self.error(at, f"stands behind {self._end}; expected nothing behind the outputs")
        if not padded:
            self._check_padding(at)

    def _check_finite(self, at: str, weights: FloatArray, bias: FloatArray | None) -> None:
        if not np.isfinite(weights).all() or not (bias is None or np.isfinite(bias).all()):
            raise self.error(at, "holds weights that are NaN or infinite; expected finite numbers")

    def _check_padding(self, at: str) -> None:
        if self._padding != _NONE:
            raise self.error(at, "stands behind added lines or places; expected a convolution or average pooling there")

    def _check_unpadded(self, at: str, pads: Padding) -> None:
        """Refuse lines and places around values that wait for their unit."""
        if pads != _NONE:
            assert self._open is not None
            raise self.error(
                at,
                f"adds lines or places around the values of {self._open.at} in front of their activation; expected an "
                "activation between the two, or no padding",
            )

    def _check_image(self, at: str, before: LinearMap, shape: Shape) -> None:
        """Refuse an image that is another than a convolution in front of its activation gives."""
        if before.patches is None or before.patches.positions != shape[:2]:
            raise self.error(
                at, f"is used on another image than {before.at} gives; expected an activation between the two"
            )

    @contextmanager
    def _naming(self, at: str) -> Iterator[None]:
        """Name file and operation in an error."""
        try:
            yield
        except InputError as error:
            raise error if str(self.path) in str(error) else self.error(at, str(error)) from None


def _channels_last(shape: Shape) -> NDArray[np.intp]:
    """Number in a file that has channels first of each value (lines, places, channels) in the order of this package."""
    lines, places, channels = shape
    return np.moveaxis(np.arange(prod(shape)).reshape(channels, lines, places), 0, -1).ravel()


def _added(one: Padding, other: Padding) -> Padding:
    (above, below), (left, right) = (
        (a + c, b + d) for (a, b), (c, d) in zip(one, other, strict=True)
    )  # fmt: skip
    return (above, below), (left, right)


def resolved(padding: Pads, shape: Shape, size: Pair, strides: Pair, dilation: Pair, front: Padding) -> Padding:
    """Lines and places to add around an image, above and below, left and right.

    Parameters
    ----------
    padding
        The numbers themselves, or how they follow from the others.
    shape, size, strides, dilation
        As for `Patches`.
    front
        Lines and places that an operation in front adds.
    """
    if padding == "valid":
        return _NONE
    if not isinstance(padding, str):
        return padding
    padded = shape[0] + sum(front[0]), shape[1] + sum(front[1]), shape[2]
    lines, places = same_padding(padded, size, strides, dilation)
    return (lines, places) if padding == "same" else (lines[::-1], places[::-1])


def normalised(
    scale: FloatArray | float, shift: FloatArray | float, mean: FloatArray, variance: FloatArray, epsilon: float
) -> tuple[FloatArray, FloatArray]:
    """Factor and term that a batch normalisation is: scale (x - mean)/sqrt(variance + epsilon) + shift."""
    with np.errstate(invalid="ignore", divide="ignore"):  # what that gives is refused as no number
        factor = np.asarray(scale / np.sqrt(variance + epsilon))
        return factor, np.asarray(shift - factor * mean)
