"""The order of layers that have nothing but names and shapes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cmp_to_key
from itertools import islice, pairwise, zip_longest
from pathlib import Path

from analog_fhn.errors import InputError

_MOST = 64
_TRIES = 20_000

Sizes = tuple[int, int]


def chains(sizes: Sequence[Sizes]) -> bool:
    """Whether each layer (n_in, n_out) has as many inputs as the one before has outputs."""
    return all(one[1] == other[0] for one, other in pairwise(sizes))


def in_order(sizes: Mapping[str, Sizes], path: Path, *, stored: bool) -> tuple[list[str], str]:
    """Order of layers: that of the numbers in their names, else of the file, else the only one that fits.

    Numbers order names that are alike up to the first number that differs: `fc1` and `fc2`, `hidden` and `hidden_1`.
    Where that leaves the order open, a file's own order is taken if the layers follow each other in it.

    Parameters
    ----------
    sizes
        Inputs and outputs of each layer by its name, in the order of the file.
    stored
        Whether the layers were saved in that order; False: the file's format sorts them.

    Returns
    -------
    order
        The names. If the layers follow each other in no order, an arbitrary one.
    note
        A sentence that says which order was taken; empty if the names tell it.

    Raises
    ------
    InputError
        If the names leave the order open, and so do the shapes and the file.
    """
    names = sorted(sizes, key=cmp_to_key(_compare))
    if all(_compare(one, other) < 0 for one, other in pairwise(names)):
        return names, ""
    names = list(sizes) if stored else sorted(sizes)
    if len(names) > _MOST:
        raise InputError(f"{path}: the names of its {len(names)} layers tell no order; number them (0., 1., ...)")
    if stored and _in_numbers(names) and chains([sizes[name] for name in names]):
        return names, f"order of the layers: {', '.join(names)}, as in the file (their names tell none)"
    orders = list(islice(_orders(sizes), 2))
    if not orders:
        return names, ""
    if len(orders) > 1 or None in orders:
        raise InputError(
            f"{path}: the order of the layers is open: the names {', '.join(names)} tell none, and by their shapes "
            "they follow each other in more than one; number them in their order (0., 1., ...), or save them in it "
            "as .npz"
        )
    names = list(orders[0] or ())
    return names, f"order of the layers: {', '.join(names)}, the only one in which they follow each other"


def _compare(one: str, other: str) -> int:
    """Below 0 if the numbers in two names say that the first comes before the second, above 0 after, 0 neither."""
    for (text, number), (text_other, number_other) in zip_longest(_parts(one), _parts(other), fillvalue=("", "")):
        if text.rstrip("_.-/") != text_other.rstrip("_.-/"):
            return 0
        if number != number_other:
            return int(number or -1) - int(number_other or -1)
    return 0


def _parts(name: str) -> list[tuple[str, str]]:
    """Texts, each with the number behind it."""
    return re.findall(r"(\D*)(\d*)", name)


def _in_numbers(names: Sequence[str]) -> bool:
    """Whether no number in the names contradicts their order."""
    return not any(_compare(one, other) > 0 for k, one in enumerate(names) for other in names[k + 1 :])


def _orders(sizes: Mapping[str, Sizes]) -> Iterator[tuple[str, ...] | None]:
    """Orders in which the layers follow each other and no numbers contradict; None: too many to try them all."""
    tries = iter(range(_TRIES))

    def extend(order: tuple[str, ...], rest: list[str]) -> Iterator[tuple[str, ...] | None]:
        if not rest:
            yield order
        for name in rest:
            if next(tries, None) is None:
                yield None
            elif not order or sizes[order[-1]][1] == sizes[name][0]:
                others = [other for other in rest if other != name]
                if not any(_compare(other, name) < 0 for other in others):
                    yield from extend((*order, name), others)

    return extend((), list(sizes))
