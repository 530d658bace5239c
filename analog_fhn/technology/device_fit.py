"""A device preset from a user's own measurements: programming error and drift, with how well both are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint, minimize
from scipy.stats import chi2, norm

from analog_fhn._support.tables import TextTable, excerpt, finite_number, named_rows, read_text_table
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.technology import quantities as of
from analog_fhn.technology.device import ClippedLine, Device, FitError, Polynomial, PowerLaw, Tabulated

COLUMNS, OPTIONAL = ("target", "conductance"), ("seconds", "device")
CONFIDENCE = 0.95
MOST_STATES = 12  # rows of the table where targets are not the same few
LEAST_READINGS = 10  # of programmed devices
LEAST_DEVICES = 5  # that were read again
_LEAST_OF_A_STATE = 5
_DEGREES = 3
_APART = 1.5  # largest ratio of the times of the devices' first readings
_LIMIT: of.Quantity = get_args(of.LowConductance)[1]

SigmaModel = Literal["polynomial", "table"]


@dataclass(frozen=True, eq=False)
class Readings:
    """Readings of programmed devices.

    Parameters
    ----------
    source
        File that they are from.
    target, conductance
        Conductance that the device was programmed to, and read (S), each of shape (n,).
    seconds
        Time after programming (s), shape (n,); None: not told.
    device
        Number of the device, shape (n,); without times each reading is of a device of its own.
    """

    source: str
    target: FloatArray
    conductance: FloatArray
    seconds: FloatArray | None
    device: NDArray[np.intp]

    @property
    def first(self) -> NDArray[np.intp]:
        """Place of the first reading of each device."""
        order = np.arange(len(self.device)) if self.seconds is None else np.argsort(self.seconds, kind="stable")
        return np.asarray(np.sort(order[np.unique(self.device[order], return_index=True)[1]]))


@dataclass(frozen=True)
class SigmaRow:
    """Programming error of the devices of one state, or of neighbouring ones (S).

    Parameters
    ----------
    target, readings
        Mean target, and number of devices.
    deviation
        Mean deviation from the target.
    sigma, low, high
        Rms deviation from the target, and its interval of 95 % confidence.
    fitted, fitted_low, fitted_high
        Sigma of the fit there, and its interval.
    """

    target: float
    readings: int
    deviation: float
    sigma: float
    low: float
    high: float
    fitted: float
    fitted_low: float
    fitted_high: float


@dataclass(frozen=True)
class DriftFit:
    """Drift exponents of devices that were read several times.

    Parameters
    ----------
    devices
        How many.
    mean, mean_error
        Mean exponent at the middle state, and its standard error.
    sigma, sigma_error
        Spread of the exponents from device to device there, and its standard error.
    residual
        Rms of what the power law leaves of the logarithm of a reading.
    """

    devices: int
    mean: float
    mean_error: float
    sigma: float
    sigma_error: float
    residual: float


@dataclass(frozen=True)
class DeviceFit:
    """A preset, its programming error state by state, and its drift (None: readings of one time only)."""

    device: Device
    states: tuple[SigmaRow, ...]
    drift: DriftFit | None


def read_readings(path: str | Path) -> Readings:
    """Read a table of the columns `target`, `conductance` (S), and where there are times `seconds` (s), `device`.

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing or unknown, a value is no number or out of range, or the times
        are without devices; the message names file, line, column, value and what was expected.
    """
    table = read_text_table(Path(path), f"the columns {','.join(COLUMNS)}")
    rows = named_rows(table, COLUMNS, OPTIONAL)
    if not rows:
        raise InputError(f"{path}: no line of data; expected at least {LEAST_READINGS}")
    values = np.empty((len(rows), 2))
    seconds, devices = np.empty(len(rows)), np.empty(len(rows), dtype=np.intp)
    timed, numbered = (any(cells[k].strip() for _, cells in rows) for k in (2, 3))
    if timed and not numbered:
        raise InputError(f"{path}: column 'seconds' without column 'device'; expected which device each reading is of")
    for k, (line, cells) in enumerate(rows):
        values[k, 0] = _conductance(table, line, "target", cells[0], lowest=0.0)
        values[k, 1] = _conductance(table, line, "conductance", cells[1], lowest=-_LIMIT.possible[1])
        devices[k] = _whole(table, line, cells[3]) if numbered else k
        if timed:
            seconds[k] = finite_number(table, line, "seconds", cells[2])
            if seconds[k] < 0.0:
                raise InputError(
                    f"{path}, line {line}, column 'seconds': {excerpt(cells[2])}; expected seconds after programming, "
                    "0 or more"
                )
    readings = Readings(str(path), values[:, 0], values[:, 1], seconds if timed else None, devices)
    _check_devices(readings, [line for line, _ in rows])
    return readings


def fit_device(
    readings: Readings, name: str, source: str | None = None, *, model: SigmaModel = "polynomial"
) -> DeviceFit:
    """Device preset of measurements.

    Programming: deviations from the target at the first reading are normal with ``sigma = c0 + c1 u + ...``, u the
    target over the largest one, by maximum likelihood; the degree, up to 3, is that with the smallest Bayesian
    information criterion. A mean deviation counts as spread, because a preset has none. With `model` "table" the preset
    has the sigmas of the states instead.

    Drift: of every device ``ln G = ln G1 - nu ln(t/t1)`` by least squares; the exponents are normal, mean and sigma
    constant or linear in ln(u), by maximum likelihood with each exponent's own standard error.

    Parameters
    ----------
    name, source
        Of the preset; source None: the file.

    Raises
    ------
    InputError
        If there are too few readings, they do not deviate at all, or first readings are at very different times.
    """
    first = readings.first
    target, deviation = readings.target[first], readings.conductance[first] - readings.target[first]
    if len(first) < LEAST_READINGS:
        raise InputError(f"{readings.source}: {len(first)} devices; expected at least {LEAST_READINGS}")
    if not target.any():
        raise InputError(f"{readings.source}, column 'target': all 0; expected conductances in siemens")
    if not deviation.any():
        raise InputError(
            f"{readings.source}, column 'conductance': all as in column 'target'; expected what was read of the devices"
        )
    scale = float(target.max())
    coefficients, covariance = _fit_sigma(target / scale, deviation, readings.source)
    states = _states(target, deviation, scale, coefficients, covariance)
    drift, law, times = _fit_drift(readings, scale)
    errors = [
        FitError(value=max(abs(one.sigma - one.fitted) for one in states), unit="S",
                 of=f"largest distance of the programming sigma from that of one of {len(states)} states"),
        FitError(value=max(abs(one.deviation) for one in states), unit="S",
                 of="largest mean deviation of a state from its target, which is in the sigma"),
    ]  # fmt: skip
    if drift is not None:
        errors.append(
            FitError(value=drift.residual, unit="relative", of="rms residual of single readings from the power law")
        )
    programming: Polynomial | Tabulated
    if model == "polynomial":
        relative = tuple((coefficients / scale).tolist())
        programming = Polynomial(kind="polynomial", scale=scale, unit=scale, coefficients=relative)
    else:
        programming = Tabulated(
            kind="table", q=tuple(one.target for one in states), values=tuple(one.sigma for one in states)
        )
    what = "programming error" if law is None else "programming error, drift"
    device = Device(
        format=1,
        name=name,
        source=source or f"fitted to {Path(readings.source).name}",
        note=f"Modelled: {what}. Fitted to {len(first)} devices. Not modelled: read noise, temperature.",
        g_range=(float(target.min()), scale),
        time_range=times,
        fit_error=tuple(errors),
        fit_error_note=f"Programming: maximum likelihood, polynomial of degree {len(coefficients) - 1}.",
        programming=programming,
        drift=law,
    )
    return DeviceFit(device, states, drift)


def _conductance(table: TextTable, line: int, column: str, text: str, *, lowest: float) -> float:
    value = finite_number(table, line, column, text)
    if not lowest <= value <= _LIMIT.possible[1]:
        raise InputError(
            f"{table.path}, line {line}, column {column!r}: {excerpt(text)}; expected siemens, {lowest:g} to "
            f"{_LIMIT.possible[1]:g}{_LIMIT.hint(value)}"
        )
    return value


def _whole(table: TextTable, line: int, text: str) -> int:
    value = finite_number(table, line, "device", text)
    if not value.is_integer() or abs(value) > 2**53:
        raise InputError(
            f"{table.path}, line {line}, column 'device': {excerpt(text)}; expected the number of the device"
        )
    return int(value)


def _check_devices(readings: Readings, lines: list[int]) -> None:
    """Refuse devices that have several targets, or several readings at one time."""
    first: dict[int, int] = {}
    seen: dict[tuple[int, float], int] = {}
    for k, device in enumerate(readings.device.tolist()):
        begin = first.setdefault(device, k)
        if readings.target[k] != readings.target[begin]:
            raise InputError(
                f"{readings.source}, line {lines[k]}, column 'target': {readings.target[k]:g}; expected "
                f"{readings.target[begin]:g} as in line {lines[begin]}, which is of the same device"
            )
        time = 0.0 if readings.seconds is None else float(readings.seconds[k])
        other = seen.setdefault((device, time), k)
        if other != k:
            raise InputError(
                f"{readings.source}, line {lines[k]}, column 'device': {device}, as in line {lines[other]} at the same "
                "time; expected one reading of a device at a time"
            )


def _powers(u: FloatArray, degree: int) -> FloatArray:
    return np.asarray(np.vander(u, degree + 1, increasing=True))


def _fit_sigma(u: FloatArray, deviation: FloatArray, source: str) -> tuple[FloatArray, FloatArray]:
    """Coefficients (S) of sigma as a polynomial of u = target/scale, and their covariance; see `fit_device`."""
    # In units of the rms deviation everything is of the order of 1.
    size = float(np.sqrt(np.mean(deviation**2)))
    d, n_states = deviation / size, len(np.unique(u))
    grid = np.linspace(u.min(), u.max(), 100)
    fits = []
    for degree in range(min(_DEGREES, n_states - 1) + 1):
        powers, on_grid = _powers(u, degree), _powers(grid, degree)

        def cost(c: FloatArray, powers: FloatArray = powers) -> tuple[float, FloatArray]:
            sigma = np.maximum(powers @ c, 1e-9)
            return float(np.sum(np.log(sigma) + 0.5 * (d / sigma) ** 2)), (1.0 / sigma - d**2 / sigma**3) @ powers

        start = np.concatenate([[1.0], np.zeros(degree)])
        found = minimize(
            cost,
            start,
            jac=True,
            method="SLSQP",
            constraints=[LinearConstraint(on_grid, 1e-3)],
            options={"maxiter": 500, "ftol": 1e-12},
        )
        fits.append((2.0 * found.fun + (degree + 1) * np.log(len(d)), found.x, powers))
    _, c, powers = min(fits, key=lambda fit: fit[0])
    sigma = powers @ c
    # Fisher's information of a standard deviation from one normal draw is 2/sigma^2.
    information = 2.0 * (powers / sigma[:, None] ** 2).T @ powers
    covariance = np.linalg.pinv(information)
    if not np.isfinite(c).all():
        raise InputError(f"{source}: the programming error has no fit; expected deviations of one order of magnitude")
    return np.asarray(c * size), np.asarray(covariance * size**2, dtype=np.float64)


def _states(
    target: FloatArray, deviation: FloatArray, scale: float, coefficients: FloatArray, covariance: FloatArray
) -> tuple[SigmaRow, ...]:
    """The programming error of each state; of many states, or of states of few devices, that of neighbours together."""
    values, place, counts = np.unique(target, return_inverse=True, return_counts=True)
    if len(values) > MOST_STATES or counts.min() < _LEAST_OF_A_STATE:
        n_groups = max(1, min(MOST_STATES, len(target) // LEAST_READINGS))
        # Devices of one state stay together.
        place = (np.cumsum(counts)[place] - counts[place]) * n_groups // len(target)
    rows, normal = [], float(norm.ppf(0.5 + 0.5 * CONFIDENCE))
    for number in np.unique(place):
        of_state = place == number
        n, mean = int(of_state.sum()), float(target[of_state].mean())
        rms = float(np.sqrt(np.mean(deviation[of_state] ** 2)))
        low, high = (rms * np.sqrt(n / chi2.ppf(0.5 + 0.5 * sign * CONFIDENCE, n)) for sign in (1.0, -1.0))
        powers = _powers(np.array([mean / scale]), len(coefficients) - 1)[0]
        fitted, error = float(powers @ coefficients), normal * float(np.sqrt(powers @ covariance @ powers))
        rows.append(
            SigmaRow(
                mean, n, float(deviation[of_state].mean()), rms, float(low), float(high), fitted,
                max(0.0, fitted - error), fitted + error,
            )
        )  # fmt: skip
    return tuple(rows)


@dataclass(frozen=True, eq=False)
class _Exponents:
    """Drift exponents, each of shape (n_devices,): logarithm of u, exponent, its standard error."""

    log_u: FloatArray
    nu: FloatArray
    error: FloatArray
    residual: float


def _fit_drift(readings: Readings, scale: float) -> tuple[DriftFit | None, PowerLaw | None, tuple[float, float] | None]:
    """Drift, its model, and the times of the readings after the first (s); None where devices were read once."""
    if readings.seconds is None:
        return None, None, None
    start = readings.seconds[readings.first]
    again = readings.seconds[np.setdiff1d(np.arange(len(readings.seconds)), readings.first)]
    if not again.size:
        return None, None, None
    if start.min() <= 0.0 or start.max() > _APART * start.min():
        raise InputError(
            f"{readings.source}, column 'seconds': first readings at {start.min():g} to {start.max():g} s; expected "
            f"times after programming above 0 that differ by a factor of at most {_APART:g}: a power law begins there"
        )
    t0 = float(np.median(start))
    found = _exponents(readings, scale)
    if len(found.nu) < LEAST_DEVICES:
        raise InputError(
            f"{readings.source}, column 'device': {len(found.nu)} devices were read several times at conductances "
            f"above 0; expected at least {LEAST_DEVICES} for a drift, or one reading of each"
        )
    fits = [_lines(found, slopes) for slopes in ((0, 0), (1, 0), (1, 1))]
    _, mean, sigma, errors = min(fits, key=lambda fit: fit[0])
    middle = float(np.median(found.log_u))
    fit = DriftFit(
        len(found.nu), float(mean[0] + mean[1] * middle), errors[0], float(sigma[0] + sigma[1] * middle), errors[1],
        found.residual,
    )  # fmt: skip
    span = np.array([found.log_u.min(), found.log_u.max()])
    law = PowerLaw(kind="power_law", scale=scale, t0=t0, mean=_line(mean, span), sigma=_line(sigma, span))
    return fit, law, (float((again - t0).min()), float((again - t0).max()))


def _exponents(readings: Readings, scale: float) -> _Exponents:
    """Exponent of every device that was read several times, at conductances above 0."""
    assert readings.seconds is not None
    order = np.lexsort((readings.seconds, readings.device))
    edges = np.flatnonzero(np.diff(readings.device[order])) + 1
    log_u, nu, spread, squares, free = [], [], [], 0.0, 0
    for part in np.split(order, edges):
        g, t = readings.conductance[part], readings.seconds[part]
        if len(part) < 2 or g.min() <= 0.0:
            continue
        x, y = np.log(t / t[0]), np.log(g)
        x, y = x - x.mean(), y - y.mean()
        slope = float(x @ y / (x @ x))
        squares += float(np.sum((y - slope * x) ** 2))
        free += len(part) - 2
        log_u.append(np.log(g[0] / scale))
        nu.append(-slope)
        spread.append(1.0 / (x @ x))
    residual = float(np.sqrt(squares / free)) if free else 0.0
    return _Exponents(np.array(log_u), np.array(nu), residual * np.sqrt(np.array(spread)), residual)


def _lines(found: _Exponents, slopes: tuple[int, int]) -> tuple[float, FloatArray, FloatArray, tuple[float, float]]:
    """Criterion, offset and slope of mean and sigma of the exponents over ln(u), and standard errors at the middle.

    Parameters
    ----------
    slopes
        Whether the mean and the sigma have one.
    """
    x = found.log_u - np.median(found.log_u)
    size = float(np.sqrt(np.mean((found.nu - found.nu.mean()) ** 2))) or max(abs(float(found.nu.mean())), 1e-12)
    nu, own = found.nu / size, (found.error / size) ** 2
    means, sigmas = (_powers(x, slope) for slope in slopes)
    n_mean = means.shape[1]

    def variance(c: FloatArray) -> FloatArray:
        return np.asarray((sigmas @ c[n_mean:]) ** 2 + own + 1e-12)

    def cost(c: FloatArray) -> float:
        of_all = variance(c)
        return float(0.5 * np.sum(np.log(of_all) + (nu - means @ c[:n_mean]) ** 2 / of_all))

    start = np.concatenate([[nu.mean()], np.zeros(slopes[0]), [1.0], np.zeros(slopes[1])])
    ends = _powers(np.array([x.min(), x.max()]), slopes[1])
    above = LinearConstraint(np.hstack([np.zeros((2, n_mean)), ends]), 0.0)
    best = minimize(cost, start, method="SLSQP", constraints=[above], options={"maxiter": 500, "ftol": 1e-12}).x
    of_all, spread = variance(best), sigmas @ best[n_mean:]
    errors = (
        float(size / np.sqrt(np.sum(1.0 / of_all))),
        float(size / np.sqrt(max(float(np.sum(2.0 * spread**2 / of_all**2)), 1e-300))),
    )
    middle = float(np.median(found.log_u))
    pairs = []
    for c in (best[:n_mean], best[n_mean:]):
        slope = float(c[1]) if len(c) > 1 else 0.0
        pairs.append(np.array([c[0] - slope * middle, slope]) * size)
    return 2.0 * cost(best) + len(best) * np.log(len(nu)), pairs[0], pairs[1], errors


def _line(offset_and_slope: FloatArray, span: FloatArray) -> ClippedLine:
    """Line that beyond the measured states, whose ends of ln(u) are `span`, is as at their ends; never below 0."""
    offset, slope = map(float, offset_and_slope)
    values = np.maximum(offset + slope * span, 0.0)
    return ClippedLine(slope=slope, offset=offset, low=float(values.min()), high=float(values.max()))
