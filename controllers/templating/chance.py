"""Functions whose result is another each time: random text and the clock. Their sources are injected.

Keys and salted hashes are in `sprig.crypto`.

Each refresh of an ExternalSecret that calls one writes another Secret; that is what upstream does too.
"""

from __future__ import annotations

import base64
import string
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from .errors import FunctionError
from .godate import Time
from .goduration import SECOND, duration_text
from .registry import FunctionSet, bounded_size, functions
from .values import Value


@dataclass(frozen=True, slots=True)
class Chance:
    """Where randomness and time come from: `random(n)` yields n bytes, `now()` an aware time."""

    random: Callable[[int], bytes]
    now: Callable[[], datetime]

    def below(self, limit: int) -> int:
        """A number in [0, limit), without bias."""
        if limit <= 0:
            raise FunctionError("invalid argument: empty range")
        size = (limit.bit_length() + 7) // 8
        top = (256**size) // limit * limit
        while (drawn := int.from_bytes(self.random(size), "big")) >= top:
            pass
        return drawn % limit

    def text(self, alphabet: str) -> Callable[[int], str]:
        def draw(count: int) -> str:
            bounded_size(max(count, 0) * 16)
            return "".join(alphabet[self.below(len(alphabet))] for _ in range(max(count, 0)))

        return draw

    def shuffled(self, text: str) -> str:
        chars = list(text[: bounded_size(len(text) * 16)])
        for at in range(len(chars) - 1, 0, -1):
            other = self.below(at + 1)
            chars[at], chars[other] = chars[other], chars[at]
        return "".join(chars)

    def random_bytes(self, count: int) -> str:
        return base64.b64encode(self.random(bounded_size(max(count, 0)))).decode()


def chance_functions(chance: Chance) -> FunctionSet:
    """Sprig's functions that are not deterministic, over the given sources."""

    def ago(value: Value) -> str:
        moment = value.moment if isinstance(value, Time) else datetime.fromtimestamp(int(value), UTC)
        return duration_text(round((chance.now() - moment).total_seconds()) * SECOND)

    return FunctionSet(
        functions(
            {
                "randAlphaNum": ("i", chance.text(string.ascii_letters + string.digits)),
                "randAlpha": ("i", chance.text(string.ascii_letters)),
                "randNumeric": ("i", chance.text(string.digits)),
                "randAscii": ("i", chance.text("".join(map(chr, range(32, 127))))),
                "randBytes": ("i", chance.random_bytes),
                "randInt": ("ii", lambda low, high: low + chance.below(high - low)),
                "shuffle": ("s", chance.shuffled),
                "uuidv4": ("", lambda: str(uuid.UUID(bytes=chance.random(16), version=4))),
                "now": ("", lambda: Time(chance.now())),
                "ago": ("a", ago),
            },
            deterministic=False,
        )
    )
