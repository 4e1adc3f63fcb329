"""Both servers, once for all tests of this folder; or the reason why there is none to compare with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.envtest import binaries

from .pair import Pair


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder, why = binaries()
    if folder is None:
        pytest.skip(why)
    running = Pair(tmp_path_factory.mktemp("differential"))
    yield running
    running.stop()
