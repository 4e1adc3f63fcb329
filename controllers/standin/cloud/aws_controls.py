"""What a test may turn while AWS runs: request limits, latency, failures; and what it may read: who called what."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .aws_http import AwsError, Call
from .aws_policy import glob


@dataclass(slots=True)
class Bucket:
    """A token bucket: `rate` calls per second, `burst` at once."""

    rate: float
    burst: float
    tokens: float
    at: float

    def take(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class Fault:
    """The next `count` calls that match are answered with this error (-1: all of them)."""

    code: str
    status: int
    count: int
    message: str


@dataclass(slots=True)
class Controls:
    """Keys are globs over "service:Action"."""

    throttles: dict[str, Bucket] = field(default_factory=dict)
    latencies: dict[str, float] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)  # (service:Action, identity)
    throttled: Counter[str] = field(default_factory=Counter)
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, kind: str, body: dict[str, Any]) -> None:
        """throttle: {match, rate, burst}; latency: {match, seconds}; fault: {match, code, status, count, message}."""
        match = str(body.get("match", "*"))
        with self._lock:
            if kind == "throttle":
                rate, burst = float(body.get("rate", 0)), float(body.get("burst", body.get("rate", 0)))
                self.throttles.pop(match, None)
                if rate:
                    self.throttles[match] = Bucket(rate, burst, burst, self.clock())
            elif kind == "latency":
                self.latencies[match] = float(body.get("seconds", 0))
            else:
                code, message = str(body.get("code", "InternalFailure")), str(body.get("message", "injected"))
                self.faults[match] = Fault(code, int(body.get("status", 500)), int(body.get("count", 1)), message)

    def count(self, call: Call, who: str) -> None:
        with self._lock:
            self.calls[call.name, who] += 1

    def obey(self, call: Call) -> float:
        """Seconds this call must wait. Raises AwsError when it is throttled or meant to fail."""
        with self._lock:
            for match, fault in self.faults.items():
                if fault.count and glob(call.name, match):
                    fault.count -= 1
                    raise AwsError(fault.code, fault.message, fault.status)
            for match, bucket in self.throttles.items():
                if glob(call.name, match) and not bucket.take(self.clock()):
                    self.throttled[call.name] += 1
                    raise AwsError("ThrottlingException", "Rate exceeded", 400, "Throttling")
            return max((seconds for match, seconds in self.latencies.items() if glob(call.name, match)), default=0)

    def report(self) -> dict[str, Any]:
        with self._lock:
            calls = [{"call": name, "identity": who, "count": count} for (name, who), count in self.calls.items()]
            return {"calls": calls, "throttled": dict(self.throttled)}

    def reset_counters(self) -> None:
        with self._lock:
            self.calls.clear()
            self.throttled.clear()

    def clear(self) -> None:
        self.reset_counters()
        with self._lock:
            self.throttles.clear()
            self.latencies.clear()
            self.faults.clear()
