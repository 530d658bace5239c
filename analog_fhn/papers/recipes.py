"""Ways in which a reader of Bogatenko et al., Chaos 33(7), 2023, may train its network 784-100-10.

The paper has sigmoid units, a linear output, two matrices without biases, and 99.5 and 97.7 % of the training and test
images right. All of the ways here reach about that. What they share: softmax cross-entropy, batches of 32, Glorot's
start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from analog_fhn._support.files import at_once
from analog_fhn._support.progress import Progress
from analog_fhn.data import Dataset
from analog_fhn.network import Network
from analog_fhn.papers.bogatenko2023 import images_hash
from analog_fhn.training.fit import Fit, Optimizer, Schedule
from analog_fhn.training.layers import Plan
from analog_fhn.training.plain import plain_of

HIDDEN = 100
BATCH = 32


@dataclass(frozen=True)
class Recipe:
    """A way to train the network; see `Fit`."""

    name: str
    optimizer: Optimizer
    learning_rate: float
    schedule: Schedule
    epochs: int

    def train(self, dataset: Dataset, seed: int) -> Network:
        """A network from this seed."""
        fit = Fit(dataset, self.epochs, BATCH, self.learning_rate, self.schedule, seed, optimizer=self.optimizer)
        fit.check()
        plan = Plan.of(dataset, n_hidden=HIDDEN, hidden="sigmoid")
        return plain_of(plan, fit, bias=False).network(dataset.scale)

    def asked(self, seed: int, images_sha256: str) -> dict[str, Any]:
        """What decides that network, ready for JSON."""
        return asdict(self) | {"seed": seed, "images_sha256": images_sha256}


RECIPES = (
    Recipe("Adam, falling rate", "adam", 3e-3, "cosine", 20),  # `train_plain`
    Recipe("Adam", "adam", 1e-3, "constant", 12),  # as Keras has it, to the paper's accuracies
    Recipe("gradient descent", "sgd", 0.5, "constant", 12),
)


def kept(
    folder: Path, dataset: Dataset, recipes: Sequence[Recipe], seeds: Sequence[int]
) -> dict[tuple[str, int], Network]:
    """Networks of each recipe and seed that a folder holds, as they are asked for."""
    images, networks = images_hash(dataset), {}
    for recipe in recipes:
        for path in folder.glob("*.npz"):
            last = path.stem.rpartition("-")[2]
            seed = int(last) if last.isdecimal() else -1
            if seed in seeds and path == _path(folder, recipe, seed):
                network = Network.load(path)
                if network.provenance.get("asked") == recipe.asked(seed, images):
                    networks[recipe.name, seed] = network
    return networks


def trained(
    folder: Path,
    dataset: Dataset,
    recipes: Sequence[Recipe],
    seeds: Sequence[int],
    there: Mapping[tuple[str, int], Network],
    progress: Progress | None = None,
) -> dict[tuple[str, int], Network]:
    """Networks of each recipe and seed: those that are there, and the others trained and kept in the folder.

    Parameters
    ----------
    there
        Those that it holds: `kept`.
    progress
        Called with the networks that are there and all of them.
    """
    images, networks = images_hash(dataset), {}
    for recipe in recipes:
        for seed in seeds:
            network = there.get((recipe.name, seed))
            if network is None:
                network = recipe.train(dataset, seed)
                network = replace(network, provenance=network.provenance | {"asked": recipe.asked(seed, images)})
                with at_once():  # a population that is not kept is trained in vain
                    network.save(_path(folder, recipe, seed))
            networks[recipe.name, seed] = network
            if progress is not None:
                progress(len(networks), len(recipes) * len(seeds))
    return networks


def _path(folder: Path, recipe: Recipe, seed: int) -> Path:
    return folder / f"{recipe.name.replace(',', '').replace(' ', '-').lower()}-{seed}.npz"
