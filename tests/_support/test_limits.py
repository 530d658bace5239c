"""Limits of packed files: no more is unpacked than is allowed, whatever the file holds."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from analog_fhn._support.limits import unpack_gzip
from analog_fhn.errors import InputError

HERE = Path("images.gz")


def test_a_gzip_file_of_several_members_is_their_contents() -> None:
    assert unpack_gzip(gzip.compress(b"one") + gzip.compress(b"two"), HERE, 6) == b"onetwo"


def test_a_gzip_bomb_is_refused_before_it_fills_the_memory() -> None:
    raw = gzip.compress(bytes(2**26))
    tracemalloc.start()
    with pytest.raises(InputError, match=r"images\.gz: unpacks to more than 1 MiB"):
        unpack_gzip(raw, HERE, 2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


@pytest.mark.parametrize("keep", [3, 15, -1])
def test_a_cut_gzip_file_is_called_damaged(keep: int) -> None:
    with pytest.raises(InputError, match=r"images\.gz: damaged gzip file"):
        unpack_gzip(gzip.compress(b"content")[:keep], HERE, 100)
