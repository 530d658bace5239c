"""Option groups that several commands have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from analog_fhn.cli import circuits, console, inputs, parameters
from analog_fhn.cli.options import values_of, values_set
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.chip import ManufacturedChip
    from analog_fhn.data import Dataset
    from analog_fhn.design import Design
    from analog_fhn.network import Network
    from analog_fhn.neuron import FHN, FloatArray, Protocol


@dataclass(frozen=True)
class NeuronOptions:
    """Values of the FHN neurons and when they are watched; None: as without the option."""

    gamma: parameters.GammaOption = None
    a: parameters.AOption = None
    eps: parameters.EpsOption = None
    slope: parameters.SlopeOption = None
    settle: parameters.SettleOption = None
    control: parameters.ControlOption = None

    def fhn(self, usual: FHN) -> FHN:
        """The neuron `usual` with the values that are set."""
        return replace(usual, **values_set(self, "gamma", "a", "eps", "slope"))

    def protocol(self, usual: Protocol) -> Protocol:
        """The protocol `usual` with the times that are set."""
        return replace(usual, **values_set(self, "settle", "control"))


class LoadsNetwork:
    """Group whose options are keyword arguments of `inputs.load_network`."""

    def load(self, path: Path, trim: Path | None = None) -> Network:
        """The network of a file with these settings; `trim` is a trim file that they must not contradict."""
        return inputs.load_network(path, trim=trim, **values_of(self))


@dataclass(frozen=True)
class NetworkOptions(LoadsNetwork):
    """How a network is run on a chip; None: as its file says."""

    raw: parameters.RawOption = False
    gamma: parameters.GammaOption = None
    settle: parameters.SettleOption = None
    control: parameters.ControlOption = None


@dataclass(frozen=True)
class ImageOptions:
    """Which images of a data set."""

    split: parameters.SplitOption = "test"
    images: parameters.ImagesOption = None
    stratified: parameters.StratifiedOption = False
    images_seed: parameters.ImagesSeedOption = None

    def load(self, dataset: str, network: Network, data: Path | None) -> Dataset:
        """The images, checked against the network; `data` is the folder of the data sets."""
        draw = inputs.seed_of_draw(self.stratified, self.images_seed)
        return inputs.load_images(dataset, self.split, data, self.images, network, draw=draw)

    def settings(self, dataset: str) -> dict[str, Any]:
        """What decided which images they are, for JSON."""
        draw = inputs.seed_of_draw(self.stratified, self.images_seed)
        return {"dataset": dataset, "split": self.split, "stratified": self.stratified, "images_seed": draw}


@dataclass(frozen=True)
class OneImageOptions:
    """One image of a data set, or none; a command's group has its own help for `image`."""

    image: Annotated[int | None, typer.Option("--image", min=0)] = None
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="mnist|digits|PATH", help="Where the image comes from.")
    ] = None
    split: parameters.SplitOption = "test"

    # What to say of `--dataset` without `--image`.
    WITHOUT_IMAGE: ClassVar[str]

    def load(self, network: Network, data: Path | None) -> FloatArray | None:
        """The image, shape (n_in,); None: no image is asked for."""
        if self.image is None:
            if self.dataset is not None:
                raise InputError(f"--dataset {self.dataset}{self.WITHOUT_IMAGE}")
            return None
        if self.dataset is None:
            raise InputError(f"--image {self.image} needs --dataset to take the image from")
        loaded = inputs.load_images(self.dataset, self.split, data, None, network)
        if self.image >= len(loaded.labels):
            raise InputError(f"--image {self.image}: {loaded.source} has images 0 to {len(loaded.labels) - 1}")
        chosen: FloatArray = loaded.images[self.image].astype(float)
        return chosen

    @property
    def settings(self) -> dict[str, Any]:
        """Which image it is, for JSON."""
        split = None if self.image is None else self.split
        return {"image": self.image, "dataset": self.dataset, "split": split}


@dataclass(frozen=True)
class ChipOptions:
    """A chip of a technology."""

    technology: parameters.NeededTechnologyOption = "discrete"
    chip: parameters.ChipOption = None
    errors: parameters.ErrorsOption = None
    temperature: parameters.TemperatureOption = None
    supply: parameters.SupplyOption = None

    def build(self, network: Network) -> ManufacturedChip:
        """The chip; what `design` would warn of is said on standard error."""
        return self.design(network).chip(self.chip)

    def design(self, network: Network) -> Design:
        """The design that the chip is a sample of; what `design` would warn of is said on standard error."""
        from analog_fhn.design import Design

        technology = circuits.load_technology(
            self.technology, errors=self.errors, temperature=self.temperature, supply=self.supply
        )
        design = Design(network, technology)
        circuits.warn_of(design)
        return design


@dataclass(frozen=True)
class SeededChipOptions(ChipOptions):
    """A manufactured chip of a technology: number 0, if no other is asked for."""

    chip: Annotated[int, typer.Option("--chip", metavar="SEED", min=0, help="Chip seed.")] = 0


@dataclass(frozen=True)
class TrimmableChipOptions:
    """A chip of a technology, or one that was trimmed."""

    technology: parameters.TechnologyOption = None
    chip: parameters.ChipOption = None
    trim: parameters.TrimOption = None
    shift: parameters.ShiftOption = None
    errors: parameters.ErrorsOption = None
    temperature: parameters.TemperatureOption = None
    supply: parameters.SupplyOption = None

    def build(self, network: Network) -> ManufacturedChip:
        """The chip, of the technology (None: discrete) or of the trim file, which brings technology and seed.

        What `design` would warn of is said on standard error.
        """
        if self.trim is not None:
            if self.shift is not None:
                raise InputError(f"--shift {self.shift}: --trim {self.trim} is of a chip that is not shifted")
            return self._trimmed(network, self.trim)
        name = "discrete" if self.technology is None else self.technology
        options = ChipOptions(name, self.chip, self.errors, self.temperature, self.supply)
        if self.shift is None:
            return options.build(network)
        from analog_fhn.montecarlo.shift_file import ShiftFile

        try:
            return ShiftFile.load(self.shift, network).chip(options.design(network), self.chip)
        except InputError as error:
            raise InputError(
                f"--shift {error}" if str(self.shift) in str(error) else f"--shift {self.shift}: {error}"
            ) from None

    def build_if_asked(self, network: Network, backend: str) -> ManufacturedChip | None:
        """As `build`; None: the options ask for ideal neurons and float weights.

        The backends spice and vacask need components: without a technology they get the nominal chip of `discrete`.
        """
        from analog_fhn.backends.base import CIRCUIT_BACKENDS

        if self.trim is None and self.technology is None:
            for option in ("chip", "shift", "errors", "temperature", "supply"):
                if (value := getattr(self, option)) is not None:
                    raise InputError(
                        f"--{option} {value} needs a --technology to draw the chip from (for example --technology "
                        "discrete)"
                    )
            if backend not in CIRCUIT_BACKENDS:
                return None
        return self.build(network)

    def _trimmed(self, network: Network, trim: Path) -> ManufacturedChip:
        """Chip of a trim file; technology and seed, where they are set, must be those that it was trimmed with."""
        from analog_fhn.design import Design
        from analog_fhn.trim.state import load_state, measured_from

        state, technology = load_state(trim, network)
        measured = measured_from(trim)
        if measured is not None:
            console.warn(
                f"warning: {trim} holds the codes of the chip measured in {measured}; here they are set on a "
                "nominal chip, whose accuracy is not that chip's"
            )
        if self.technology is not None and circuits.load_technology(self.technology) != technology:
            raise InputError(
                f"--technology {self.technology}: {trim} was made with the technology {technology.name!r} of other "
                "values; leave the option out, the file holds them"
            )
        if self.chip is not None and self.chip != state.seed:
            raise InputError(f"--chip {self.chip}: {trim} is the trim of chip {state.seed}")
        under = technology.under(temperature=self.temperature, supply=self.supply)
        if self.errors is not None:
            under = under.with_errors(circuits.error_groups(technology, self.errors))
        design = Design(network, under)
        circuits.warn_of(design)
        return state.chip(design)
