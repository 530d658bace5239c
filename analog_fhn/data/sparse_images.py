"""Images with few bright pixels, made for products with many weight matrices.

Of MNIST's pixels 81 % are zero. What a library's product of full matrices spends on them is left out here, in compiled
code; sparse products of SciPy are slower than full ones at this share.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import prange
from numpy.typing import NDArray

from analog_fhn._support.compiled import compiled

WORTHWHILE = 0.35  # share of pixels that are not zero, above which a product of full matrices is faster


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels that are not zero, image after image.

    Parameters
    ----------
    first
        Shape (n_images + 1,): where each image begins in the other two.
    place, value
        Which input a pixel is, and its value; shape (n_pixels,).
    """

    first: NDArray[np.int64]
    place: NDArray[np.uint16]
    value: NDArray[np.float32]

    @classmethod
    def of(cls, images: NDArray[np.floating]) -> Pixels | None:
        """Of images (n_images, n_in); None where too many pixels are bright, or there are too many inputs."""
        if np.count_nonzero(images) > WORTHWHILE * images.size or images.shape[1] > np.iinfo(np.uint16).max:
            return None
        flat = np.flatnonzero(images)
        first = np.concatenate([[0], np.cumsum(np.count_nonzero(images, axis=1))])
        place = (flat % images.shape[1]).astype(np.uint16)
        return cls(first.astype(np.int64), place, np.asarray(images).ravel()[flat].astype(np.float32))

    def save(self, folder: Path) -> None:
        """Write three `.npy` files."""
        for name in ("first", "place", "value"):
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def mapped(cls, folder: Path) -> Pixels:
        """What `save` wrote, without a copy."""
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("first", "place", "value")))

    def __len__(self) -> int:
        return len(self.first) - 1

    def times(
        self, weights: NDArray[np.floating], shift: NDArray[np.floating], part: slice, out: NDArray[np.floating]
    ) -> None:
        """``images[part] @ weights + shift`` into `out`.

        Parameters
        ----------
        weights, shift, out
            Shapes (n_in, n_out), (n_out,) and (number of images, n_out).
        """
        _product(self.first[part.start : part.stop + 1], self.place, self.value, weights, shift, out)


@compiled(parallel=True, error_model="numpy", fastmath={"contract", "nsz"})
def _product(first, place, value, weights, shift, out):  # type: ignore[no-untyped-def]
    n_images, n_out = out.shape
    for image in prange(n_images):
        row = out[image]
        for k in range(n_out):
            row[k] = shift[k]
        i, end = first[image], first[image + 1]
        # Four at a time: the row is read and written once for four pixels.
        while i + 4 <= end:
            a, b, c, d = value[i], value[i + 1], value[i + 2], value[i + 3]
            wa, wb, wc, wd = weights[place[i]], weights[place[i + 1]], weights[place[i + 2]], weights[place[i + 3]]
            for k in range(n_out):
                row[k] += (a * wa[k] + b * wb[k]) + (c * wc[k] + d * wd[k])
            i += 4
        while i < end:
            a = value[i]
            wa = weights[place[i]]
            for k in range(n_out):
                row[k] += a * wa[k]
            i += 1
