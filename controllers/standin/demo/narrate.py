"""How the demo tells its steps: lines as they happen, a table at the end, or one JSON object. No value of a secret is
printed: where a value proves something, its digest is."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


class StepFailedError(Exception):
    """A step's promise was not kept in time; the message says what was waited for and what was last seen."""


@dataclass(slots=True)
class Told:
    """One step as it went. `seconds` is the step's time, `measured` named latencies within it (seconds)."""

    step: str
    title: str
    ok: bool = False
    seconds: float = 0.0
    happened: str = ""
    measured: dict[str, float] = field(default_factory=dict)


class Narrator:
    """Collects steps; speaks unless `quiet` (JSON wants standard output for itself)."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.told: list[Told] = []
        self._quiet = quiet
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        if not self._quiet:
            stamp = time.monotonic() - self._began
            for line in text.splitlines():
                print(f"  {stamp:6.1f}s  {line}", flush=True)

    def plain(self, text: str) -> None:
        if not self._quiet:
            print(text, flush=True)

    async def step(self, name: str, title: str, run: Callable[[Told], Awaitable[str]]) -> bool:
        """Runs one step; a failed one is told and does not stop the next."""
        told = Told(name, title)
        self.told.append(told)
        self.plain(f"\n{len(self.told)}. {title}")
        began = time.monotonic()
        try:
            told.happened = await run(told)
            told.ok = True
        except StepFailedError as failure:
            told.happened = str(failure)
        told.seconds = round(time.monotonic() - began, 2)
        self.say(f"{'ok' if told.ok else 'FAILED'}: {told.happened} ({told.seconds:.1f} s)")
        return told.ok

    @property
    def ok(self) -> bool:
        return bool(self.told) and all(told.ok for told in self.told)

    def table(self) -> None:
        width = max(len(told.title) for told in self.told)
        self.plain(f"\n{'step':<{width}}  seconds  what happened")
        for told in self.told:
            mark = "" if told.ok else "FAILED: "
            self.plain(f"{told.title:<{width}}  {told.seconds:7.1f}  {mark}{told.happened}")

    def json(self, **more: object) -> None:
        steps = [
            {
                "step": told.step,
                "ok": told.ok,
                "seconds": told.seconds,
                "title": told.title,
                "happened": told.happened,
                "measured": told.measured,
            }
            for told in self.told
        ]
        json.dump({"ok": self.ok, "steps": steps, **more}, sys.stdout, indent=2)
        print(flush=True)


def digest(value: bytes) -> str:
    """Twelve hex digits of a value's sha256: enough to see that two places hold the same."""
    return "sha256:" + hashlib.sha256(value).hexdigest()[:12]
