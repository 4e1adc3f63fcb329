"""A watch's lines as kopf may have them: whatever would end kopf's watcher becomes the end that it bears.

kopf lists and watches again after an ERROR of 410. Any other ERROR (an overloaded etcd answers 500 or 504), and a line
that is not JSON, raises in its watcher and ends the operator. Here such a line is replaced with the 410, after a pause
that grows while it goes on. A well-formed line passes without being parsed a second time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

log = logging.getLogger(__name__)

GONE = (
    b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}}\n'
)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
MAX_LINE = 64 << 20


@dataclass(slots=True)
class Pauses:
    """Of one kind, across its watches: seconds before it is listed again. A good line begins anew."""

    next: float = _FIRST_PAUSE

    def take(self) -> float:
        pause, self.next = self.next, min(self.next * 2, _LONGEST_PAUSE)
        return pause * random.uniform(0.7, 1.3)  # noqa: S311 - spreads retries, guards nothing


class CheckedLines:
    """Stands in for `response.content` of a watch; of it kopf uses `iter_chunked`, and we `total_bytes`."""

    def __init__(
        self,
        content: aiohttp.StreamReader,
        *,
        name: str,
        pauses: Pauses,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        """`name`: what is watched, for the log."""
        self._content, self._name, self._pauses, self._sleep = content, name, pauses, sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Whole lines; ends after the first that is an error."""
        rest = b""
        async for chunk in self._content.iter_chunked(size):
            lines, newline, rest = (rest + chunk).rpartition(b"\n")
            good: list[bytes] = []
            for line in lines.split(b"\n") if newline else ():
                if problem := problem_of(line):
                    if good:
                        yield b"\n".join(good) + b"\n"
                    yield await self._ended(problem)
                    return
                good.append(line)
            if any(good):
                self._pauses.next = _FIRST_PAUSE
                yield b"\n".join(good) + b"\n"
            if len(rest) > MAX_LINE:
                yield await self._ended(f"an event of more than {MAX_LINE} bytes")
                return
        if problem := problem_of(rest):
            yield await self._ended(problem)
        elif rest:
            yield rest + b"\n"

    async def _ended(self, problem: str) -> bytes:
        pause = self._pauses.take()
        log.warning("watch of %s: %s; listing again in about %.1f s", self._name, problem, pause)
        await self._sleep(pause)
        return GONE


def problem_of(line: bytes) -> str:
    """What is wrong with a line of a watch; "" where kopf can take it: an event, the ERROR of 410, or nothing."""
    line = line.strip()
    if not line or (b'"ERROR"' not in line[:64] and _is_whole(line)):
        return ""
    try:
        event = json.loads(line)
        kind, body = event["type"], event["object"]
        code = int(body.get("code") or 0) if kind == "ERROR" else 410
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "a line that is not an event"
    return "" if code == 410 else f"the API server ended it with code {code or 'unknown'}"


def _is_whole(line: bytes) -> bool:
    """Cheap and cautious: brackets and quotes match. Where they do not, since texts may hold some, JSON decides."""
    return (
        line.startswith(b'{"type":"')
        and line.endswith(b"}")
        and line.count(b"{") == line.count(b"}")
        and line.count(b"[") == line.count(b"]")
        and line.count(b'"') % 2 == 0
    )
