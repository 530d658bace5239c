"""Where recordings of real neurons are, which are no part of this repository; tests of them are skipped elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(
    os.environ.get("ANALOG_FHN_RECORDINGS") or Path(os.environ.get("ANALOG_FHN_DATA", ".")).parent / "recordings"
)
"""`ANALOG_FHN_RECORDINGS`, else the folder `recordings` beside that of MNIST."""

real = pytest.mark.skipif(
    not (FOLDER / "17o05028_ic_steps.abf").is_file(), reason="there are no recordings of real neurons"
)
