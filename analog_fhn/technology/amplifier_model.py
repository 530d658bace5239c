"""Parameters of `netlists/opamp.lib` that follow from a technology."""

from __future__ import annotations

from analog_fhn.technology.sections import OpAmp
from analog_fhn.technology.technology import Technology


def amplifier_parameters(technology: Technology, amplifier: OpAmp) -> dict[str, float]:
    """Parameters of an amplifier's model, but for the offset, under the technology's conditions."""
    high, low = drops(technology, amplifier.output_limit)
    return {
        "ib": amplifier.input_current(technology.conditions.temperature),
        "gain": amplifier.gain,
        "gbw": amplifier.gain_bandwidth,
        "slew": amplifier.slew_rate,
        "drop_high": high,
        "drop_low": low,
        "iq": amplifier.quiescent_current,
    }


def drops(technology: Technology, output_limit: float) -> tuple[float, float]:
    """Distance of the largest and of the lowest output voltage to their rails (V)."""
    high, low = technology.rails
    return high - output_limit, -low - output_limit
