"""One state of all knobs: what a request carries whole, and the network, technology and design that it stands for."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from analog_fhn.bench.knobs import NETWORK_QUANTITIES, Knob, technology_knobs
from analog_fhn.errors import InputError, shown
from analog_fhn.network import Network
from analog_fhn.technology.quantities import Quantity
from analog_fhn.technology.technology import Technology
from analog_fhn.technology.typed_yaml import Name, Section, explain

LARGEST_SEED = 2**53 - 1  # that every browser keeps as it is

Seed = Annotated[int, Quantity("1", (0, LARGEST_SEED))]
Place = Annotated[int, Quantity("1", (0, 2**31))]
Chips = Annotated[int, Quantity("1", (2, 500))]
Accuracy = Annotated[float, Quantity("1", (0, 1))]
Value = Annotated[float | int | str | None, Field()]
NETWORK_KEYS = tuple(NETWORK_QUANTITIES)


class State(Section):
    """Where all knobs stand; what is left out, or null, is as network and technology have it.

    Parameters
    ----------
    technology
        Name of a technology in `calibration/`.
    chip
        Seed of the chip; null: the nominal chip, without spread.
    gamma, a, eps, slope, settle, control, readout
        As for `Network.with_options`.
    values
        Values of the technology by their keys, ``{"resistor.tolerance": 0.02}``.
    image
        Image that is followed, its place in the split from 0.
    layer, neuron
        Hidden layer and neuron whose waveform is shown, both from 0; neuron null: the first one that oscillates under
        the image, or 0.
    images
        Number of images, from the first on, that the chip is judged by; null: all.
    """

    technology: Name = "discrete"
    chip: Seed | None = None
    gamma: Annotated[float, NETWORK_QUANTITIES["gamma"]] | None = None
    a: Annotated[float, NETWORK_QUANTITIES["a"]] | None = None
    eps: Annotated[float, NETWORK_QUANTITIES["eps"]] | None = None
    slope: Annotated[float, NETWORK_QUANTITIES["slope"]] | None = None
    settle: Annotated[float, NETWORK_QUANTITIES["settle"]] | None = None
    control: Annotated[float, NETWORK_QUANTITIES["control"]] | None = None
    readout: Literal["vote", "mean"] | None = None
    values: Annotated[dict[str, Value], Field(default_factory=dict, max_length=200)]
    image: Place = 0
    layer: Place = 0
    neuron: Place | None = None
    images: Annotated[int, Quantity("1", (1, 2**31))] | None = None

    @classmethod
    def read(cls, content: object, names: tuple[str, ...]) -> State:
        """State of a request.

        Parameters
        ----------
        names
            Technologies to choose from.

        Raises
        ------
        InputError
            Naming the knob, its value and what was expected.
        """
        try:
            state = cls.model_validate(content)
        except ValidationError as error:
            raise InputError(explain("knobs", error, content)) from None
        if state.technology not in names:
            raise InputError(f"knobs: technology = {shown(state.technology)}: expected one of {', '.join(names)}")
        return state

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of `Network.with_options` that are set."""
        values = {key: getattr(self, key) for key in (*NETWORK_KEYS, "readout")}
        return {key: value for key, value in values.items() if value is not None}

    @property
    def changed(self) -> dict[str, Any]:
        """What is set at all: the state as a link has it."""
        return self.model_dump(exclude_defaults=True)

    @property
    def design_key(self) -> str:
        """What a design follows from."""
        return json.dumps([self.technology, self.values, self.options], sort_keys=True)

    def build_network(self, network: Network) -> Network:
        """The network with these options.

        Raises
        ------
        InputError
            If a value does not fit the others.
        """
        return network.with_options(**self.options)

    def build_technology(self, technology: Technology, network: Network) -> Technology:
        """The technology with these values, of which each has to be a knob's.

        Raises
        ------
        InputError
            For a key that is no knob, or a value that the technology refuses.
        """
        knobs = {knob.key: knob for knob in technology_knobs(technology, network)}
        for key, value in self.values.items():
            if key not in knobs:
                raise InputError(f"knobs: values: unknown key {shown(key)}; there are {', '.join(knobs)}")
            check_value(knobs[key], value)
        return technology.with_values(self.values) if self.values else technology


def check_value(knob: Knob, value: Value) -> None:
    """Refuse what is no value of a knob.

    Raises
    ------
    InputError
        Naming knob, value and what was expected.
    """
    start = f"knobs: {knob.key} = {shown(value)}: expected"
    if knob.choices:
        if value not in knob.choices:
            raise InputError(f"{start} one of {', '.join(knob.choices)}")
        return
    if value is None and knob.optional:
        return
    kind = "a whole number" if knob.whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int if knob.whole else int | float) or not math.isfinite(value):
        raise InputError(f"{start} {kind}{' or null' if knob.optional else ''}")
    if not knob.low <= value <= knob.high:
        raise InputError(f"{start} {kind} from {knob.low:g} to {knob.high:g}")
