"""What tests of VACASK share: the program, where it is."""

from __future__ import annotations

import pytest

from analog_fhn.errors import MissingProgramError
from analog_fhn.vacask.process import find_program


def _needs() -> pytest.MarkDecorator:
    try:
        find_program()
    except MissingProgramError as error:
        return pytest.mark.skipif(True, reason=str(error))
    return pytest.mark.skipif(False, reason="VACASK is there")


needs_vacask = _needs()
