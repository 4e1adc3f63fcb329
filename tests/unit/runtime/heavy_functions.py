"""What the tests of the worker process run in it."""

from __future__ import annotations

import os
import time
from typing import Any


def double(value: int) -> int:
    return value * 2


def spin(_: Any) -> None:
    while True:
        time.sleep(0)


def eat(_: Any) -> int:
    return len(bytearray(4 * 1024**3))


def fail(text: str) -> None:
    raise ValueError(text)


def pid(_: Any) -> int:
    return os.getpid()
