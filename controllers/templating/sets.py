"""The function sets that callers choose from.

- `SPRIG`: sprig's text functions without the environment, the network, randomness and the clock.
- `EXTERNAL_SECRETS`: those and External Secrets' own.
- `with_chance(set, chance)`: the set and the non-deterministic functions over injected sources.
"""

from __future__ import annotations

from .chance import Chance, chance_functions
from .godate import DATES
from .goyaml import YAML
from .pem import PEM
from .registry import FunctionSet
from .sprig.collections import COLLECTIONS
from .sprig.crypto import CRYPTO, crypto_functions
from .sprig.encodings import ENCODINGS
from .sprig.numbers import NUMBERS
from .sprig.regex import REGEX
from .sprig.semver import SEMVER
from .sprig.strings import STRINGS
from .sprig.urls import URLS

SPRIG = FunctionSet({**STRINGS, **COLLECTIONS, **NUMBERS, **ENCODINGS, **REGEX, **URLS, **DATES, **CRYPTO, **SEMVER})
EXTERNAL_SECRETS = SPRIG | {**PEM, **YAML}


def with_chance(functions: FunctionSet, chance: Chance) -> FunctionSet:
    """`functions` and what needs randomness or time."""
    return functions | chance_functions(chance) | crypto_functions(chance)
