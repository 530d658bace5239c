"""The command line in the process of the tests."""

from __future__ import annotations

import contextlib
import io
import sys
from unittest import mock

from analog_fhn import cli


def run(*arguments: object) -> tuple[int, str, str]:
    """Status, standard output and error; anything but an exit, such as a traceback, is the test's failure."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["analog-fhn", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as end:
            status = int(end.code or 0)
    return status, out.getvalue(), err.getvalue()
