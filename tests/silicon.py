"""What tests of transistor circuits share: the foundry's models, where they are."""

from __future__ import annotations

import pytest

from analog_fhn.errors import InputError, MissingProgramError
from analog_fhn.technology.foundry import KITS


def _missing() -> str:
    try:
        KITS["gf180mcu"].found()
    except (InputError, MissingProgramError) as error:
        return str(error).splitlines()[0]
    return ""


needs_models = pytest.mark.skipif(bool(_missing()), reason=_missing() or "models are there")
