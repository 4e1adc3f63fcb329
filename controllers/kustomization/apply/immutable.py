"""Does the API server refuse a change because a field can never change? Then only deleting and creating helps
(`force`).

There is no machine-readable mark for it: the built-in kinds, CEL rules of CRDs and webhooks each say it in words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

WORDS = (
    "is immutable",
    "immutable field",
    "field is immutable",
    "may not be changed",
    "cannot be changed after creation",
)
"""Lower-case texts in use for it; further ones can be given per installation."""

_UPDATES_FORBIDDEN = re.compile(r"updates to .{1,200}? (?:for fields other than|are) .{0,400}?forbidden", re.DOTALL)


def is_immutable(message: str, *, status: int = 422, words: Sequence[str] = ()) -> bool:
    """Is this refusal (HTTP status and message) about an immutable field? `words` are further texts, in any case."""
    if status not in (400, 403, 409, 422):
        return False
    text = message.lower()
    if any(word in text for word in (*WORDS, *map(str.lower, words))):
        return True
    return bool(_UPDATES_FORBIDDEN.search(text[:20_000]))  # the pattern's time grows with the text's length
