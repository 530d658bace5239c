"""What is on the bench: one network, labelled images, and the designs and chips that states ask for."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.resources import resource
from analog_fhn.backends.table.backend import default_drives
from analog_fhn.bench.knobs import network_knobs, technology_knobs
from analog_fhn.bench.state import State
from analog_fhn.bench.work import Kept, PatientDirect, SharedTable, Watch
from analog_fhn.chip import ManufacturedChip
from analog_fhn.data import Dataset
from analog_fhn.design import Design
from analog_fhn.errors import InputError, shown
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology

DEFAULT = "discrete"
_FEWEST = 1000  # images that a chip is judged by where nothing else is asked for


class Bench:
    """A network, labelled images, and what was made of them last.

    Parameters
    ----------
    network
        As its file has it.
    dataset
        Images that chips are judged by.
    names
        What the shown commands call them: ``network``, ``dataset`` and ``data``, the last one None if it is not set.

    Raises
    ------
    InputError
        If a name is no text, as file names may be, which no page can show.
    """

    def __init__(self, network: Network, dataset: Dataset, names: Mapping[str, str | None]) -> None:
        self.network, self.dataset, self.names = network, dataset, dict(names)
        for name in self.names.values():
            try:
                (name or "").encode()
            except UnicodeEncodeError:
                raise InputError(f"{shown(name)}: the page cannot show this name; expected one in UTF-8") from None
        self._designs, self._chips, self._tables = Kept(16), Kept(8), Kept(48)
        self._waves, self._technologies = Kept(12), Kept(8)  # tables of waveforms are large: 46 kB a neuron
        self._plain, self._lock = np.empty(0, dtype=np.intp), threading.Lock()

    @cached_property
    def technologies(self) -> tuple[str, ...]:
        """Names of the technologies to choose from, that of the board first."""
        others = sorted(path.stem for path in resource("calibration").glob("*.yaml"))
        return (DEFAULT, *(name for name in others if name != DEFAULT))

    def plain(self, n: int) -> NDArray[np.intp]:
        """Classes that the plain network gives the first n images, shape (n,)."""
        with self._lock:
            done = len(self._plain)
            if done < n:
                scores = self.network.forward(self.dataset.images[done:n])
                self._plain = np.concatenate([self._plain, scores.argmax(axis=1)])
            return self._plain[:n]

    def state(self, content: object) -> State:
        """State of a request, checked against network and images.

        Raises
        ------
        InputError
            Naming the knob, its value and what was expected.
        """
        state = State.read(content, self.technologies)
        hidden, n_images = self.network.hidden_layers, len(self.dataset.labels)
        if state.layer >= len(hidden):
            raise InputError(f"knobs: layer = {state.layer}: expected 0 to {len(hidden) - 1}")
        limits = {"neuron": hidden[state.layer].n_out - 1, "image": n_images - 1}
        for name, most in limits.items():
            if (getattr(state, name) or 0) > most:
                raise InputError(f"knobs: {name} = {getattr(state, name)}: expected 0 to {most}")
        if state.images is not None and state.images > n_images:
            raise InputError(f"knobs: images = {state.images}: expected at most {n_images}")
        self.technology(state)
        state.build_network(self.network)
        return state

    def n_images(self, state: State) -> int:
        """Number of images that a state's chip is judged by."""
        return state.images or min(_FEWEST, len(self.dataset.labels))

    def technology(self, state: State) -> Technology:
        """Technology of a state."""
        return state.build_technology(self._base(state), self.network)

    def _base(self, state: State) -> Technology:
        """The technology that a state's knobs start from."""
        return self._technologies.get(state.technology, lambda: Technology.load(state.technology), Watch())

    def design(self, state: State, watch: Watch) -> Design:
        """Design of a state."""

        def make() -> Design:
            return Design(state.build_network(self.network), self.technology(state))

        return self._designs.get(state.design_key, make, watch)

    def chip(self, state: State, watch: Watch) -> ManufacturedChip:
        """Chip of a state."""

        def make() -> ManufacturedChip:
            watch.progress("chip")(0, 1)
            return self.design(state, watch).chip(state.chip)

        return self._chips.get((state.design_key, state.chip), make, watch)

    def table(self, chip: ManufacturedChip, watch: Watch) -> SharedTable:
        """Response tables by which images are judged, as `af.classify(chip, images, table=...)` makes them."""
        inner = PatientDirect(watch=watch, what="response tables")
        drives = default_drives(inner.name, chip.network.readout)
        return SharedTable(inner, drives, kept=self._tables, waves=self._waves, watch=watch)

    def drives(self, state: State) -> int:
        """Drives per neuron of these tables."""
        return default_drives("direct", state.readout or self.network.readout)

    def describe(self, state: State) -> dict[str, Any]:
        """What the page needs to set up its knobs for a technology."""
        base = self._base(state)
        return {
            "network": self.names["network"],
            "sizes": self.network.sizes_text,
            "units": self.network.hidden,
            "layers": [layer.n_out for layer in self.network.hidden_layers],
            "dataset": str(self.names["dataset"]).rsplit("/", 1)[-1],
            "source": self.dataset.source,
            "n_images": len(self.dataset.labels),
            "images": min(_FEWEST, len(self.dataset.labels)),
            "n_classes": self.network.layer_sizes[-1],
            "technologies": self.technologies,
            "technology": base.name,
            "parts_source": base.source,
            "window": base.protocol(self.network.protocol) != self.network.protocol,
            "knobs": [asdict(knob) for knob in network_knobs(self.network, base)],
            "parts": [asdict(knob) for knob in technology_knobs(base, self.network)],
        }
