"""Figures 2, 3, 4, 6 and tables 1, 2 of Bogatenko et al., Chaos 33(7), 2023, doi:10.1063/5.0152703.

Each function writes a CSV file and a picture into a folder. The values of eps, a, the control record and the column
headers of table 1 are lost in the copy at hand; what is used instead is an option and stands in the output.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from analog_fhn import plots
from analog_fhn._support.files import CsvTable, new_table, new_text
from analog_fhn._support.hashing import sha256
from analog_fhn._support.progress import Progress
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.cell.base import Cells
from analog_fhn.chip import Chip
from analog_fhn.data import Dataset
from analog_fhn.errors import InputError
from analog_fhn.inference import Result, classify, classify_all, hidden_response, outputs_over_time, per_class
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, Coefficients, FloatArray, Protocol, regime
from analog_fhn.readout import Readout, leaders

GAMMAS = (2.0, 1.0, 0.5, 0.2, 0.1, -0.1, -0.2, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0, -10.0, -20.0)
READOUTS: tuple[tuple[Readout, bool], ...] = (("vote", False), ("mean", False), ("vote", True), ("mean", True))
_NAMES = {
    ("vote", False): "vote, raw x (the paper)",
    ("mean", False): "mean, raw x (offset alone)",
    ("vote", True): "vote, recentred (voting alone)",
    ("mean", True): "mean, recentred",
}


def figure2(folder: Path, fhn: FHN, drives: Sequence[float] = (-2.3, -1.0, -0.3, 0.3)) -> list[Path]:
    """Phase plane: the cubic nullcline, and the vertical one shifted by the drive, with the trajectories."""
    cells = Cells.ideal("sigmoid", fhn, len(drives))
    protocol = Protocol(settle=0.0, control=12.0, interval=0.005)
    response = Direct().respond(cells, np.array([drives]), protocol, samples=True)
    assert response.samples is not None
    one = Coefficients.ideal(fhn, 1)
    trajectories = {}
    path = folder / "figure2.csv"
    with new_table(path) as table:
        table.writerow(["drive", "rest_x", "rest_y", "regime", "t", "x", "y"])
        for k, drive in enumerate(drives):
            x = np.concatenate([[protocol.x0], response.samples[:, 0, k].astype(np.float64)])
            # dy/dt does not depend on y: its integral along the computed x is exact up to the sampling.
            rate = one.derivatives(x[:, None], 0.0, drive)[1][:, 0]
            y = protocol.y0 + np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1])) * protocol.interval])
            trajectories[drive] = (x, y)
            rest_x, rest_y = (float(v[0]) for v in one.rest_point(np.array([drive])))
            for i in range(0, len(x), 4):
                table.writerow(
                    [
                        drive,
                        rest_x,
                        rest_y,
                        regime(fhn, drive),
                        f"{i * protocol.interval:.4g}",
                        f"{x[i]:.6g}",
                        f"{y[i]:.6g}",
                    ]
                )
    title = f"The drive I shifts the vertical nullcline (eps = {fhn.eps:g}, a = {fhn.a:g})"
    return [path, plots.save(plots.phase_plane(one, drives, trajectories, title), folder / "figure2.png")]


def figure3(folder: Path, network: Network, images: Dataset, digits: Sequence[int] = (0, 3, 5)) -> list[Path]:
    """The network's answer over time for the first image of each given class, raw and recentred."""
    chip = Chip.ideal(network)
    chosen = []
    for digit in digits:
        places = np.flatnonzero(images.labels == digit)
        if not places.size:
            raise InputError(f"{images.name}: no image of class {digit}")
        chosen.append(int(places[0]))
    if len(chip.layers) > 1:
        raise InputError(f"network has {len(chip.layers)} hidden layers; the paper's figure 3 shows one")
    response, _ = hidden_response(chip, images.images[chosen], Direct(), samples=True)
    assert response.samples is not None
    times = network.protocol.sample_times
    n_classes = network.layer_sizes[-1]
    curves = {}
    columns: dict[str, FloatArray] = {"t": times}
    for name, recentre in (("raw x", False), ("recentred", True)):
        leader = leaders(*outputs_over_time(chip, response.samples, recentre))
        for k, digit in enumerate(digits):
            shares = np.bincount(leader[:, k], minlength=n_classes) / len(leader)
            answer = int(np.argmax(shares))
            label = f"image of a {digit}, {name}: answers {answer} ({100 * shares[answer]:.0f} % of the time)"
            curves[label] = leader[:, k]
            columns[f"digit_{digit}_{name.replace(' ', '_')}"] = leader[:, k].astype(np.float64)
    path = folder / "figure3.csv"
    with new_table(path) as table:
        table.writerow(columns)
        table.writerows([f"{v:.10g}" for v in row] for row in np.column_stack(list(columns.values())))
    shown = times <= network.protocol.settle + 100.0
    figure = plots.answers(
        times[shown],
        {label: leader[shown] for label, leader in curves.items()},
        n_classes,
        f"The answer over time (gamma = {network.fhn.gamma:g}; 100 T of the control window)",
    )
    return [path, plots.save(figure, folder / "figure3.png")]


@dataclass(frozen=True, eq=False)
class GammaRow:
    """Accuracy at one gamma with one readout: overall and per class."""

    gamma: float
    readout: Readout
    recentre: bool
    accuracy: float
    per_digit: list[float | None]
    unsettled: float


def at_gamma(network: Network, gamma: float, images: Dataset, progress: Progress | None = None) -> list[GammaRow]:
    """All four readouts from one simulation of the network at this gamma."""
    changed = network.with_options(gamma=gamma)
    results: list[Result] = classify_all(changed, images.images, READOUTS, progress=progress)
    return [
        GammaRow(
            gamma,
            r.readout,
            r.recentre,
            r.accuracy(images.labels),
            per_class(r.predictions, images.labels, network.layer_sizes[-1]),
            r.unsettled,
        )
        for r in results
    ]


def figure4(
    folder: Path,
    network: Network,
    images: Dataset,
    gammas: Sequence[float] = GAMMAS,
    name: str = "figure4",
    progress: Progress | None = None,
) -> list[Path]:
    """Accuracy against the multiplier gamma, overall and per digit; the offset's and the vote's effect apart.

    The CSV file is written anew after each gamma, and begins with a comment line of the settings: a later run with
    the same settings keeps what is there and computes the rest.
    """
    path = folder / f"{name}.csv"
    settings = _settings_line(network, images)
    rows = read_gamma_rows(path) if _has_settings(path, settings) else []
    known = {r.gamma for r in rows}
    for done, gamma in enumerate(gammas):
        if gamma in known:
            continue

        def advance(k: int, n: int, done: int = done) -> None:
            if progress is not None:
                progress(done * n + k, len(gammas) * n)

        rows += at_gamma(network, gamma, images, advance)
        write_gamma_rows(path, rows, settings)
    rows = [r for r in rows if r.gamma in gammas]
    plain = network.accuracy(images.images, images.labels)
    curves = {
        label: ([r.gamma for r in chosen], [r.accuracy for r in chosen])
        for key, label in _NAMES.items()
        if (chosen := [r for r in rows if (r.readout, r.recentre) == key])
    }
    protocol = network.protocol
    title = (
        f"{len(images.labels)} images, {network.hidden}-trained, slope {network.fhn.slope:g}, eps {network.fhn.eps:g}, "
        f"a {network.fhn.a:g}, settle {protocol.settle:g}, control {protocol.control:g}"
    )
    picture = plots.save(plots.accuracy_against_gamma(curves, plain, title), folder / f"{name}.png")
    paper = [r for r in rows if (r.readout, r.recentre) == ("vote", False)]
    digits = np.array([[np.nan if v is None else v for v in r.per_digit] for r in paper])
    figure = plots.per_digit_against_gamma([r.gamma for r in paper], digits, "Vote, raw x (the paper), per digit")
    return [path, picture, plots.save(figure, folder / f"{name}_digits.png")]


def write_gamma_rows(path: Path, rows: Sequence[GammaRow], settings: str = "{}") -> None:
    """CSV: a comment line of settings, then gamma, readout, recentred, accuracy, each digit, unsettled share."""
    with new_text(path) as file:
        file.write(f"# {settings}\n")
        table = CsvTable(file)
        n = len(rows[0].per_digit)
        table.writerow(["gamma", "readout", "recentred", "accuracy", *(f"digit_{k}" for k in range(n)), "unsettled"])
        for r in rows:
            digits = ["" if v is None else f"{v:.6f}" for v in r.per_digit]
            table.writerow([r.gamma, r.readout, int(r.recentre), f"{r.accuracy:.6f}", *digits, f"{r.unsettled:.4f}"])


def read_gamma_rows(path: Path) -> list[GammaRow]:
    """Rows of a file that `write_gamma_rows` wrote.

    Raises
    ------
    InputError
        If the file is missing or of another form.
    """
    try:
        with path.open(encoding="utf-8") as file:
            table = list(csv.DictReader(line for line in file if not line.startswith("#")))
        return [
            GammaRow(
                float(r["gamma"]),
                "vote" if r["readout"] == "vote" else "mean",
                r["recentred"] == "1",
                float(r["accuracy"]),
                [float(v) if v else None for key, v in r.items() if key.startswith("digit_")],
                float(r["unsettled"]),
            )
            for r in table
        ]
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as the output of 'reproduce figure4' ({error})") from None


def _settings_line(network: Network, images: Dataset) -> str:
    fhn = {key: value for key, value in asdict(network.fhn).items() if key != "gamma"}
    stages = {"hidden": network.hidden, "tanh": network.tanh, "behind": network.behind}
    data = {"dataset": images.name, "n_images": len(images.labels), "images_sha256": images_hash(images)}
    return json.dumps({"weights_sha256": network.sha256, **stages, **fhn, **asdict(network.protocol), **data})


def images_hash(*sets: Dataset) -> str:
    """SHA-256 over the images and labels of the sets."""
    return sha256(*(array for images in sets for array in (images.images, images.labels)))


def _has_settings(path: Path, settings: str) -> bool:
    if not path.exists():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().rstrip("\n") == f"# {settings}"


def published_table1() -> dict[str, list[float]]:
    """Table 1 of the paper: column -> ten digits and the average, in percent."""
    return _published("table1.csv")


def published_table2() -> dict[str, list[float]]:
    """Table 2 of the paper: set of images -> ten digits and the average, in percent."""
    return _published("table2.csv")


def _published(name: str) -> dict[str, list[float]]:
    text = files("analog_fhn.papers").joinpath("published", name).read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    return {name: [float(row[name]) for row in rows] for name in rows[0] if name != "digit"}


def crossing(gammas: Sequence[float], accuracies: Sequence[float], level: float) -> float:
    """The negative gamma at which the accuracy first rises through `level`, interpolated in log |gamma|.

    Raises
    ------
    InputError
        If the curve does not cross the level.
    """
    pairs = sorted((-g, acc) for g, acc in zip(gammas, accuracies, strict=True) if g < 0)
    for (g0, a0), (g1, a1) in itertools.pairwise(pairs):
        if a0 < level <= a1:
            return -float(np.exp(np.interp(level, [a0, a1], np.log([g0, g1]))))
    raise InputError(f"the accuracy does not cross {100 * level:.1f} % between gamma {gammas[0]:g} and {gammas[-1]:g}")


def saturation(gammas: Sequence[float], accuracies: Sequence[float], margin: float = 0.005) -> float:
    """The smallest |gamma|, gamma < 0, from which on the accuracy stays within `margin` of its last value."""
    pairs = sorted(((-g, acc) for g, acc in zip(gammas, accuracies, strict=True) if g < 0), reverse=True)
    last = pairs[0]
    for g, acc in pairs:
        if abs(acc - pairs[0][1]) > margin:
            break
        last = (g, acc)
    return -last[0]


def read_curve(path: Path) -> tuple[list[float], list[float]]:
    """Gammas and accuracies of the paper's readout (vote, raw) from a `figure4.csv`."""
    rows = [r for r in read_gamma_rows(path) if (r.readout, r.recentre) == ("vote", False)]
    return [r.gamma for r in rows], [r.accuracy for r in rows]


def table1(
    folder: Path,
    network: Network,
    train: Dataset,
    test: Dataset,
    curve: tuple[Sequence[float], Sequence[float]],
    progress: Progress | None = None,
) -> tuple[list[Path], dict[str, dict[str, float | None]]]:
    """Per-digit accuracy beside the published table, at gammas chosen from the curve of figure 4.

    The published multipliers are lost. Column 1 is set where the curve crosses the paper's 73.3 %, column 2 where it
    saturates, column 3 at gamma = +1.

    Returns
    -------
    paths, agreement
        Files written, and per column the gamma, our average, correlation and rms difference (percent points)
        against the published digits.

    Raises
    ------
    InputError
        If the network has not ten classes, or the curve does not cross 73.3 %.
    """
    check_digits("table 1", "the network", network.layer_sizes[-1])
    chosen = {"col1": crossing(*curve, 0.733), "col2": saturation(*curve), "col3": 1.0}
    published = published_table1()
    columns: dict[str, list[float]] = {}
    agreement: dict[str, dict[str, float | None]] = {}
    total = 3 * (len(train.labels) + len(test.labels))
    done = 0
    for name, gamma in chosen.items():
        for split, images in (("test", test), ("train", train)):

            def advance(k: int, _n: int, done: int = done) -> None:
                if progress is not None:
                    progress(done + k, total)

            changed = network.with_options(gamma=gamma)
            result = classify_all(changed, images.images, [("vote", False)], progress=advance)[0]
            done += len(images.labels)
            digits = [100 * (v or 0.0) for v in per_class(result.predictions, images.labels, 10)]
            key = f"{name}_{split}"
            columns[key] = [*digits, 100 * result.accuracy(images.labels)]
            agreement[key] = {"gamma": gamma, **_agreement(columns[key], published[key])}
            _write_table1(folder / "table1.csv", published, columns)
    panels = {}
    for name, gamma in chosen.items():
        correlation = correlation_text(agreement[f"{name}_test"]["correlation"])
        label = f"column {name[-1]}: gamma = {gamma:.3g}\n(r = {correlation})"
        panels[label] = (published[f"{name}_test"][:10], columns[f"{name}_test"][:10])
    figure = plots.paired_digits(panels, "CsvTable 1: accuracy per digit, test set")
    return [folder / "table1.csv", plots.save(figure, folder / "table1.png")], agreement


def _agreement(ours: list[float], published: list[float]) -> dict[str, float | None]:
    """Both averages, and correlation and rms difference of the ten digits before them (all in percent)."""
    digits, theirs = np.array(ours[:10]), np.array(published[:10])
    return {
        "accuracy": ours[10],
        "published": published[10],
        # Undefined where all our digits are equal (0 % everywhere, say).
        "correlation": float(np.corrcoef(theirs, digits)[0, 1]) if np.ptp(digits) > 0 else None,
        "rms_difference": float(np.sqrt(np.mean((theirs - digits) ** 2))),
    }


def correlation_text(correlation: float | None) -> str:
    """Correlation as people read it."""
    return "undefined" if correlation is None else f"{correlation:.2f}"


def _write_table1(path: Path, published: dict[str, list[float]], ours: dict[str, list[float]]) -> None:
    with new_table(path) as table:
        table.writerow(["digit", *(f"{key}_{who}" for key in ours for who in ("paper", "ours"))])
        for i in range(11):
            values = [f"{v:.2f}" for key in ours for v in (published[key][i], ours[key][i])]
            table.writerow(["average" if i == 10 else i, *values])


def check_digits(table: str, what: str, n_classes: int) -> None:
    """Raise InputError for a table of the paper where there are not ten classes; `what` has them."""
    if n_classes != 10:
        raise InputError(f"{table} has the ten digits in its rows; {what} has {n_classes} classes, expected 10")


def truncated(train: Dataset, test: Dataset, images: int, seed: int) -> tuple[Dataset, Dataset]:
    """Sets with equal counts per digit, as the paper's section 4 has them: 10 000 for training, a tenth for the test.

    Parameters
    ----------
    train, test
        The full sets.
    images
        Images in the truncated training set.
    seed
        The images are drawn from it.

    Raises
    ------
    InputError
        If `images` does not give each class its equal share, or a class has too few images.
    """
    classes = train.n_classes
    if images < 10 * classes or images % (10 * classes):
        raise InputError(
            f"{images} images with equal counts in {classes} classes, and a tenth of them for the test: expected a "
            f"multiple of {10 * classes}"
        )
    return train.balanced(images // classes, seed), test.balanced(images // classes // 10, seed)


def figure6(folder: Path, history: Mapping[str, Sequence[float]], title: str) -> list[Path]:
    """Cost and accuracy per epoch of a training with FHN neurons inside.

    Parameters
    ----------
    history
        "loss", "accuracy", "val_loss", "val_accuracy" per epoch, the latter of the test images.
    """
    path = folder / "figure6.csv"
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    with new_table(path) as table:
        table.writerow(["epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy"])
        for epoch, row in enumerate(zip(*(history[name] for name in names), strict=True), start=1):
            table.writerow([epoch, *(f"{value:.6g}" for value in row)])
    train, test = "training images, weights moving", "test images, after the epoch"
    panels: dict[str, tuple[str, dict[str, ArrayLike]]] = {
        "Cost": ("cross-entropy", {train: history["loss"], test: history["val_loss"]}),
        "Accuracy": (
            "accuracy (%)",
            {train: 100 * np.asarray(history["accuracy"]), test: 100 * np.asarray(history["val_accuracy"])},
        ),
    }
    return [path, plots.save(plots.training_curves(panels, title), folder / "figure6.png")]


def table2(
    folder: Path, network: Network, sets: Mapping[str, Dataset], title: str, progress: Progress | None = None
) -> tuple[list[Path], dict[str, dict[str, float]]]:
    """Accuracy per digit after training with FHN neurons inside, beside the published table.

    Parameters
    ----------
    network
        Network that was trained on the truncated set.
    sets
        Images under the names of the published columns (train_10000, test_1000, train_60000, test_10000), or of some.

    Returns
    -------
    paths, accuracies
        Files written, and per column our average and the published one (percent), and the number of images.

    Raises
    ------
    InputError
        If the network has not ten classes.
    """
    check_digits("table 2", "the network", network.layer_sizes[-1])
    published = published_table2()
    ours: dict[str, list[float]] = {}
    total = sum(len(images.labels) for images in sets.values())
    done, path = 0, folder / "table2.csv"
    for name, images in sets.items():

        def advance(k: int, _n: int, done: int = done) -> None:
            if progress is not None:
                progress(done + k, total)

        result = classify(network, images.images, progress=advance)
        done += len(images.labels)
        digits = [100 * (v or 0.0) for v in per_class(result.predictions, images.labels, network.layer_sizes[-1])]
        ours[name] = [*digits, 100 * result.accuracy(images.labels)]
        with new_table(path) as table:  # anew with each column, the next of which may take minutes
            sizes = {name: f"{name.split('_')[0]}_{len(images.labels)}" for name, images in sets.items()}
            table.writerow(["digit", *(text for name in ours for text in (f"{name}_paper", f"{sizes[name]}_ours"))])
            for i, digit in enumerate([*range(10), "average"]):
                table.writerow([digit, *(f"{v:.2f}" for name in ours for v in (published[name][i], ours[name][i]))])
    panels = {
        f"{len(images.labels)} {name.split('_')[0]} images\n{ours[name][-1]:.1f} % (paper: "
        f"{published[name][-1]:.1f} %)": (published[name][:-1], ours[name][:-1])
        for name, images in sets.items()
    }
    averages = {
        name: {"accuracy": ours[name][-1], "published": published[name][-1], "n_images": float(len(images.labels))}
        for name, images in sets.items()
    }
    return [path, plots.save(plots.paired_digits(panels, title), folder / "table2.png")], averages
