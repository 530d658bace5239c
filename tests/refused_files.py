"""What is said of a weight file that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from analog_fhn import weights
from analog_fhn.errors import InputError


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        weights.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message
