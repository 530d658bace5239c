"""Table 1 of Bogatenko et al., Chaos 33(7), 2023, over many networks and values of a and gamma.

The paper's table is of one network, whose training is told in part only, and its multipliers are lost. How far another
network's columns lie from the published ones is known from many networks, each at its own best multipliers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.files import new_table
from analog_fhn._support.progress import Progress
from analog_fhn._support.threads import single_blas
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.cell.base import Cells
from analog_fhn.data import Dataset
from analog_fhn.inference import per_class
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, FloatArray, Protocol
from analog_fhn.papers.bogatenko2023 import published_table1
from analog_fhn.readout import vote

A = (0.2, 0.5, 1.0)
GAMMAS = (-0.2, -0.5, -0.7, -1.0, -2.0, -3.0, -4.0, -6.0, -10.0, -20.0, 0.2, 0.3, 0.4, 0.5, 0.7)
SEEDS = 20
NEURON = FHN(slope=1.0)
PROTOCOL = Protocol(settle=1000.0, control=1000.0)
COLUMNS = ("col1_test", "col2_test", "col3_test")
DRIVES = 1025
INSTANTS = 100

_GROUP = 200  # images whose rows stay in the cache


@dataclass(frozen=True, eq=False)
class Waves:
    """x of an ideal neuron at some instants, for drives ``gamma t`` with t from -1 to 1.

    All neurons of a network are alike and begin alike: their x differ by the drive alone, and one table serves all
    networks. No drive is interpolated: the nearest one is taken.

    Parameters
    ----------
    x
        Shape (n_drives, n_instants), single precision.
    """

    x: NDArray[np.float32]

    @classmethod
    def of(cls, fhn: FHN, protocol: Protocol, drives: int = DRIVES, instants: int = INSTANTS) -> Waves:
        """Integrate the neuron at an even grid of drives.

        Parameters
        ----------
        protocol
            Its control window is watched at `instants` of its samples, evenly spaced. Neurons that saturate have the
            same period, and their phases are met evenly; instants at random met them so unevenly that the vote of some
            settings was off by 4 points.

        Raises
        ------
        SimulationError
            If a neuron diverges.
        """
        grid = fhn.gamma * np.linspace(-1.0, 1.0, drives)
        response = Direct().respond(Cells.ideal("sigmoid", fhn, 1), grid[:, None], protocol, samples=True)
        assert response.samples is not None
        every = max(1, protocol.n_samples // instants)
        return cls(np.ascontiguousarray(response.samples[every - 1 :: every, :, 0].T))

    def places(self, tanh: NDArray[np.floating]) -> NDArray[np.int16]:
        """Rows of `x` that are nearest to drives of these values of the tanh."""
        nearest: NDArray[np.int16] = np.rint((tanh + 1.0) * (0.5 * (len(self.x) - 1))).astype(np.int16)
        return nearest

    def classes(self, places: NDArray[np.int16], weights: NDArray[np.floating]) -> NDArray[np.intp]:
        """Class that leads longest where the output layer is given x itself (the paper's equation 3), (n_images,).

        Parameters
        ----------
        places
            Of each image's neurons, shape (n_images, n_neurons).
        weights
            Output layer, shape (n_neurons, n_classes).
        """
        out, zero = weights.astype(np.float32), np.zeros(weights.shape[1])
        shares = np.empty((len(places), weights.shape[1]))
        with single_blas():
            for k in range(0, len(places), _GROUP):
                outputs = np.matmul(self.x[places[k : k + _GROUP]].swapaxes(1, 2), out)
                shares[k : k + _GROUP] = vote(outputs.swapaxes(0, 1), zero)
        classes: NDArray[np.intp] = shares.argmax(axis=1)
        return classes


@dataclass(frozen=True, eq=False)
class Population:
    """Accuracies (percent) of networks at values of a and gamma, beside the published columns.

    Parameters
    ----------
    recipes
        Names of the trainings.
    seeds
        Of each training.
    a, gammas
        Values.
    digits, averages
        Shapes (n_recipes, n_seeds, n_a, n_gammas, 10) and without the 10.
    plain
        Accuracy of the networks before neurons took the sigmoids' place, shape (n_recipes, n_seeds).
    """

    recipes: tuple[str, ...]
    seeds: tuple[int, ...]
    a: tuple[float, ...]
    gammas: tuple[float, ...]
    digits: FloatArray
    averages: FloatArray
    plain: FloatArray

    @cached_property
    def published(self) -> FloatArray:
        """Digits and average of the published columns, shape (3, 11)."""
        table = published_table1()
        return np.array([table[name] for name in COLUMNS])

    @cached_property
    def squares(self) -> FloatArray:
        """Mean squared difference per digit, shape (3, n_recipes, n_seeds, n_a, n_gammas)."""
        return np.stack([((self.digits - column[:10]) ** 2).mean(axis=-1) for column in self.published])

    @cached_property
    def own(self) -> NDArray[np.intp]:
        """Place of the gamma of each column that serves a network best, shape (3, n_recipes, n_seeds, n_a)."""
        return np.asarray(self.squares.argmin(axis=-1))

    @cached_property
    def rms(self) -> FloatArray:
        """Rms difference per digit over all three columns, each at its best gamma; (n_recipes, n_seeds, n_a)."""
        return np.asarray(np.sqrt(self.squares.min(axis=-1).mean(axis=0)))

    @cached_property
    def best_a(self) -> int:
        """Place of the a at which the median network is nearest to the paper."""
        return int(np.median(self.rms, axis=(0, 1)).argmin())

    def at_own(self, column: int, recipe: int) -> FloatArray:
        """Digits and average of each network at its best gamma and `best_a`, shape (n_seeds, 11)."""
        seeds, a = np.arange(len(self.seeds)), self.best_a
        gamma = self.own[column, recipe, :, a]
        return np.column_stack([self.digits[recipe, seeds, a, gamma], self.averages[recipe, seeds, a, gamma]])

    def summary(self) -> dict[str, Any]:
        """What the population says of the published table, ready for JSON."""
        return {
            "a": self.a[self.best_a],
            "recipes": {name: self._of_recipe(k) for k, name in enumerate(self.recipes)},
            "nearest": self._nearest(),
        }

    def _of_recipe(self, recipe: int) -> dict[str, Any]:
        """One setting of a and three gammas for all its networks, and each network at its own gammas."""
        together = self.squares[:, recipe].mean(axis=1)  # (3, n_a, n_gammas)
        a = int(together.min(axis=-1).mean(axis=0).argmin())
        columns = {}
        for k, name in enumerate(COLUMNS):
            own, gamma = self.at_own(k, recipe), int(together[k, a].argmin())
            theirs = self.published[k, :10]
            columns[name] = {
                "gamma": self.gammas[gamma],
                "average": spread(self.averages[recipe, :, a, gamma]),
                "rms": spread(np.sqrt(self.squares[k, recipe, :, a, gamma])),
                "own_gamma": spread(np.array(self.gammas)[self.own[k, recipe, :, self.best_a]]),
                "own_average": spread(own[:, 10]),
                "own_rms": spread(np.sqrt(self.squares[k, recipe, :, self.best_a].min(axis=-1))),
                "digits_within": int(np.sum((own[:, :10].min(axis=0) <= theirs) & (theirs <= own[:, :10].max(axis=0)))),
            }
        return {
            "plain": spread(100 * self.plain[recipe]),
            "a": self.a[a],
            "rms": float(np.sqrt(together[:, a].min(axis=-1).mean())),
            "own_rms": spread(self.rms[recipe, :, self.best_a]),
            "columns": columns,
        }

    def _nearest(self) -> dict[str, Any]:
        """The network, its a and its three gammas that are nearest to the paper."""
        recipe, seed, a = (int(k) for k in np.unravel_index(self.rms.argmin(), self.rms.shape))
        gammas = self.own[:, recipe, seed, a]
        return {
            "recipe": self.recipes[recipe],
            "seed": self.seeds[seed],
            "a": self.a[a],
            "gammas": [self.gammas[k] for k in gammas],
            "averages": [float(self.averages[recipe, seed, a, k]) for k in gammas],
            "digits": [self.digits[recipe, seed, a, k].tolist() for k in gammas],
            "rms": [float(np.sqrt(self.squares[k, recipe, seed, a, g])) for k, g in enumerate(gammas)],
            "rms_of_all": float(self.rms.min()),
        }

    def write(self, path: Path) -> Path:
        """CSV: a row for each network, a and gamma."""
        with new_table(path) as table:
            table.writerow(["recipe", "seed", "a", "gamma", "average", *(f"digit_{k}" for k in range(10))])
            for (r, s, a, g), average in np.ndenumerate(self.averages):
                values = [f"{v:.2f}" for v in (average, *self.digits[r, s, a, g])]
                table.writerow([self.recipes[r], self.seeds[s], self.a[a], self.gammas[g], *values])
        return path


def told(summary: Mapping[str, Any]) -> Iterator[str]:
    """A summary in lines for people."""
    for name, one in summary["recipes"].items():
        columns = list(one["columns"].values())
        gammas, averages = [c["gamma"] for c in columns], [c["average"]["median"] for c in columns]
        own, within = one["own_rms"], [c["digits_within"] for c in columns]
        yield (
            f"{name}: one setting a = {one['a']:g}, gamma = {_listed(gammas, 'g')}: median averages "
            f"{_listed(averages, '.1f')} %, rms difference {one['rms']:.1f} points"
        )
        yield (
            f"{name}: each network at its own gammas, a = {summary['a']:g}: rms difference {own['median']:.1f} "
            f"({own['min']:.1f} to {own['max']:.1f}) points; digits within the networks' range {_listed(within, 'd')} "
            "of 10"
        )
    best = summary["nearest"]
    yield (
        f"nearest: {best['recipe']}, seed {best['seed']}, a = {best['a']:g}, gamma = {_listed(best['gammas'], 'g')}: "
        f"averages {_listed(best['averages'], '.1f')} %, rms difference {_listed(best['rms'], '.1f')}, of all three "
        f"{best['rms_of_all']:.1f} points"
    )


def _listed(values: Sequence[float], form: str) -> str:
    return ", ".join(format(value, form) for value in values)


def spread(values: FloatArray) -> dict[str, float]:
    """Least, median and greatest value."""
    return {"min": float(values.min()), "median": float(np.median(values)), "max": float(values.max())}


def judge(
    networks: Mapping[tuple[str, int], Network],
    images: Dataset,
    fhn: FHN,
    protocol: Protocol,
    *,
    a: Sequence[float] = A,
    gammas: Sequence[float] = GAMMAS,
    progress: Progress | None = None,
) -> Population:
    """Accuracy per digit of networks with FHN neurons in place of their sigmoids, at values of a and gamma.

    The readout is the paper's: the vote of raw x.

    Parameters
    ----------
    networks
        By recipe and seed, every recipe with the same seeds; of one hidden layer, without biases of the outputs.
    fhn
        Its a and gamma are replaced.
    progress
        Called with the pairs (a, gamma) that are done and all of them.
    """
    recipes, seeds = (tuple(dict.fromkeys(names)) for names in zip(*networks, strict=True))
    ordered = [networks[recipe, one] for recipe in recipes for one in seeds]
    digits = np.empty((len(ordered), len(a), len(gammas), 10))
    averages = np.empty(digits.shape[:-1])
    places: list[NDArray[np.int16]] = []
    for done, (at, one) in enumerate(_settings(fhn, a, gammas)):
        waves = Waves.of(one, protocol)
        places = places or [waves.places(_tanh(network, images, fhn.slope)) for network in ordered]
        for k, network in enumerate(ordered):
            classes = waves.classes(places[k], network.weights[1])
            averages[k][at] = 100 * np.mean(classes == images.labels)
            digits[k][at] = [100 * (v or 0.0) for v in per_class(classes, images.labels, 10)]
        if progress is not None:
            progress(done + 1, len(a) * len(gammas))
    shape = len(recipes), len(seeds)
    return Population(
        recipes, seeds, tuple(a), tuple(gammas), digits.reshape(*shape, *digits.shape[1:]),
        averages.reshape(*shape, *averages.shape[1:]),
        np.array([network.accuracy(images.images, images.labels) for network in ordered]).reshape(shape),
    )  # fmt: skip


def _settings(fhn: FHN, a: Sequence[float], gammas: Sequence[float]) -> Iterator[tuple[tuple[int, int], FHN]]:
    for i, one in enumerate(a):
        for j, gamma in enumerate(gammas):
            yield (i, j), FHN(fhn.eps, one, gamma, fhn.slope)


def _tanh(network: Network, images: Dataset, slope: float) -> NDArray[np.floating]:
    return np.asarray(np.tanh(slope * network.dense[0].pre_activations(images.images)))
