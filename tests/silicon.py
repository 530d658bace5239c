"""What tests of transistor circuits share: the foundry's models, where they are."""

from __future__ import annotations

import pytest

from analog_fhn.errors import InputError, MissingProgramError
from analog_fhn.technology.foundry import KITS


def _needs(kit: str) -> pytest.MarkDecorator:
    try:
        KITS[kit].found()
    except (InputError, MissingProgramError) as error:
        return pytest.mark.skipif(True, reason=str(error).splitlines()[0])
    return pytest.mark.skipif(False, reason="models are there")


needs_models = _needs("gf180mcu")
needs_sky130 = _needs("sky130")
