"""Heavy work: results and errors come back; what overruns in time or memory is killed and the next piece goes on."""

from __future__ import annotations

import os
import time

import pytest

from controllers.runtime.settings import WorkerSettings
from controllers.runtime.worker import HeavyWorker, WorkFailedError, WorkTimeoutError

F = "tests.unit.runtime.heavy_functions"


async def test_pieces_end_well_or_badly_or_too_late_and_the_next_goes_on() -> None:
    heavy = HeavyWorker(WorkerSettings(processes=1, memory=256))
    try:
        assert await heavy.run(f"{F}:double", 21) == 42
        first = await heavy.run(f"{F}:pid", None)
        assert first != os.getpid()
        with pytest.raises(WorkFailedError, match="no good") as caught:
            await heavy.run(f"{F}:fail", "no good")
        assert caught.value.kind == "ValueError"
        assert await heavy.run(f"{F}:pid", None) == first  # an error is no reason for a new process
        started = time.monotonic()
        with pytest.raises(WorkTimeoutError, match=r"more than 0\.3 s"):
            await heavy.run(f"{F}:spin", None, timeout=0.3)
        assert time.monotonic() - started < 3
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        with pytest.raises((WorkTimeoutError, WorkFailedError)):
            await heavy.run(f"{F}:eat", None)
        assert await heavy.run(f"{F}:double", 1) == 2
    finally:
        heavy.close()
