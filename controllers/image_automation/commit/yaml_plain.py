"""Whether a text may stand in YAML without quotes and still be that text for every reader. Pure.

Readers differ: YAML 1.1 takes `on`, `1_000`, `12:30` and dates for other types, 1.2 takes `0o7`. So a text is safe only
if neither reads it as anything but a string, and if no character has a meaning where it stands.
"""

from __future__ import annotations

import re

_SAFE = re.compile(r"[A-Za-z0-9_/.](?:[A-Za-z0-9_./:@+\-]*[A-Za-z0-9_./@+\-])?")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", ""])
_TYPED = re.compile(
    r"""[-+]?(?:
        0b[01_]+ | 0o?[0-7_]+ | 0x[0-9a-f_]+              # other bases
      | [0-9][0-9_]*(?::[0-5]?[0-9])*(?:\.[0-9_]*)?       # decimal, base 60
      | [0-9][0-9_]*(?:\.[0-9_]*)?e[-+]?[0-9]+            # exponents
      | \.[0-9_]+(?:e[-+]?[0-9]+)?
      | \.inf | \.nan
    )
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*                    # dates
    | [-+]?\.+""",
    re.VERBOSE | re.IGNORECASE,
)


def is_plain_scalar(text: str) -> bool:
    """Safe without quotes, in block and in flow style."""
    return bool(_SAFE.fullmatch(text)) and text.lower() not in _WORDS and not _TYPED.fullmatch(text)
