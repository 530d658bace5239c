"""What commands read: networks, and images that fit them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from analog_fhn.cli import console
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.data import Dataset
    from analog_fhn.network import Network


def load_network(
    path: Path,
    *,
    protocol: str | None = None,
    readout: Literal["vote", "mean"] | None = None,
    raw: bool = False,
    gamma: float | None = None,
    a: float | None = None,
    eps: float | None = None,
    slope: float | None = None,
    settle: float | None = None,
    control: float | None = None,
    trim: Path | None = None,
) -> Network:
    """Network file with the options of the command line applied; a single option overrides the protocol.

    A trim file brings readout, recentring and protocol; of these only settling time and control window may be others,
    which are no part of the chip.
    """
    from analog_fhn.network import Network

    network = Network.load(path)
    if protocol == "paper":
        network = network.paper_protocol()
    network = network.with_options(
        gamma=gamma, slope=slope, a=a, eps=eps, readout=readout, recentre=False if raw else None,
        settle=settle, control=control,
    )  # fmt: skip
    return network if trim is None else _as_trimmed(network, trim, protocol, readout, raw, settle, control)


def _as_trimmed(
    network: Network,
    trim: Path,
    protocol: str | None,
    readout: str | None,
    raw: bool,
    settle: float | None,
    control: float | None,
) -> Network:
    """Network with the settings of a trim file, which the options must not contradict."""
    from analog_fhn.trim.state import as_trimmed

    trimmed = as_trimmed(trim, network)
    paper = "--protocol paper" if protocol else None
    asked_readout = f"--readout {readout}" if readout else paper
    if asked_readout is not None and network.readout != trimmed.readout:
        raise InputError(f"{asked_readout}: {trim} was made with the readout {trimmed.readout!r}; leave the option out")
    asked_raw = "--raw" if raw else paper
    if asked_raw is not None and trimmed.recentre:
        raise InputError(f"{asked_raw}: {trim} was made with recentred rows, without --raw; leave the option out")
    times = network.protocol if paper else None
    return trimmed.with_options(
        settle=settle if settle is not None or times is None else times.settle,
        control=control if control is not None or times is None else times.control,
    )


def load_holdout(dataset: str, split: Literal["train", "test"], data: Path | None) -> Dataset:
    """Split of a data set that a command both trains on and judges; images that it holds out are told of."""
    from analog_fhn.data import load
    from analog_fhn.data.user_files import HOLDOUT

    loaded = load(dataset, split, data, holdout=True)
    if split == "test" or loaded.held_out is None:  # else the other split of the same arrays tells it
        _tell_layout(loaded)
    if split == "test" and loaded.held_out is not None:
        console.note(
            f"{dataset} has no test images of its own: of each class every {HOLDOUT}th image, "
            f"{len(loaded.held_out)} in all, is held out for testing and not trained on"
        )
    return loaded


def _tell_layout(loaded: Dataset) -> None:
    """Say how the file was read, where its layout could be taken for another."""
    if loaded.notes:
        console.note(f"note: {loaded.source}: {'; '.join(loaded.notes)}")


def seed_of_draw(stratified: bool, seed: int | None) -> int | None:
    """Seed that `--stratified` draws images with; None: they are not drawn."""
    if seed is not None and not stratified:
        raise InputError(f"--images-seed {seed}: no images are drawn without --stratified")
    return (seed or 0) if stratified else None


def choose_images(
    loaded: Dataset,
    split: str,
    images: int | None,
    *,
    option: str = "--images",
    draw: int | None = None,
    refuse: bool = False,
) -> Dataset:
    """As many of the images as `option` asks for; what their classes lack is said on standard error.

    Parameters
    ----------
    images
        None: all.
    option
        What asks for so many images.
    draw
        Seed that they are drawn with, each class in its share; None: the first ones.
    refuse
        Whether first images that do not hold the classes in their shares are refused, for a command whose result
        promises something of the others.
    """
    if draw is not None:
        loaded = loaded.stratified(draw)
    if images is None:
        return loaded
    if images > len(loaded.labels):
        raise InputError(f"{option} {images}: {loaded.source} has only {len(loaded.labels)} {split} images")
    chosen = loaded.head(images)
    remedy = "--stratified" if option.startswith("-") else "stratified: true"
    if chosen.unfair and refuse:
        raise InputError(
            f"{option} {images}: {chosen.unfair}; expected each class in its share ({remedy} draws it so), in "
            f"{loaded.source}"
        )
    tell_unfair(chosen, option, remedy)
    absent = [k for k in chosen.missing if k not in loaded.missing]
    could_be_of_all = images >= loaded.n_classes - len(loaded.missing)
    if absent and not chosen.unfair and (could_be_of_all or refuse):
        console.note(f"note: {option} {images}: no image is of class {_listed(absent)}")
    return chosen


def tell_unfair(chosen: Dataset, option: str, remedy: str = "--stratified") -> None:
    """Warn of first images that do not hold the classes in their shares."""
    if chosen.unfair:
        console.warn(
            f"warning: {option} {len(chosen.labels)}: {chosen.unfair}, in {chosen.source}; {remedy} gives each class "
            "its share"
        )


def tell_missing(loaded: Dataset, n_classes: int, split: str) -> None:
    """Say which classes a whole split has no image of."""
    from analog_fhn.data.class_shares import missing_classes

    absent = missing_classes(loaded.labels, n_classes)
    if absent:
        classes = f"{_listed(absent)}, of the classes 0 to {n_classes - 1}"
        console.note(f"note: {loaded.source}: no {split} image is of class {classes}")


def _listed(classes: list[int]) -> str:
    shown = ", ".join(map(str, classes[:10]))
    return f"{shown} and {len(classes) - 10} more" if len(classes) > 10 else shown


def load_images(
    dataset: str,
    split: Literal["train", "test"],
    data: Path | None,
    images: int | None,
    network: Network,
    *,
    option: str = "--images",
    draw: int | None = None,
    refuse: bool = False,
    holdout: bool = False,
) -> Dataset:
    """Data set checked against the network: number of pixels, range of values, number of classes.

    Parameters
    ----------
    option, draw, refuse
        As for `choose_images`.
    holdout
        For a command that trains too: see `load_holdout`.
    """
    from analog_fhn.data import load
    from analog_fhn.inference import check_dataset

    if holdout:
        loaded = load_holdout(dataset, split, data)
    else:
        loaded = load(dataset, split, data)
        _tell_layout(loaded)
    check_dataset(network, loaded)
    tell_missing(loaded, network.layer_sizes[-1], split)
    return choose_images(loaded, split, images, option=option, draw=draw, refuse=refuse)
