"""What a tenant may try, and what refuses it: a list that is made of the tests themselves.

    @attack("kustomization", "resources: a file outside the tree", guard="build/readset.py",
            without="kustomize alone reads the file")
    def test_…

Put it on a test, or on a parameter (`pytest.param(…, marks=attack(…))`); a rich test may carry several. An attack is
its area and title: tests that share both count once. `guard` names what refuses it; `without` says how the same test
shows that the attack works where that one guard is gone. `python -m tests.attacks` prints the numbered list,
`python -m tests.attacks --write` brings docs/security.md up to date, and a test fails while it is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

AREAS = ("kustomization", "image automation", "decryption", "external secrets", "tenancy")


def attack(area: str, title: str, *, guard: str, without: str) -> pytest.MarkDecorator:
    """The marker of one attack."""
    if area not in AREAS or not title or not guard or not without:
        raise ValueError(f"attack {area!r}, {title!r}: expected an area of {', '.join(AREAS)}, title, guard, without")
    return pytest.mark.attack(area, title, guard=guard, without=without)


def attacks(area: str, titles: Iterable[str], *, guard: str, without: str) -> list[pytest.MarkDecorator]:
    """Markers of several attacks that one guard refuses: as the `marks` of a parameter."""
    return [attack(area, title, guard=guard, without=without) for title in titles]


@dataclass(frozen=True, slots=True)
class Attack:
    """One line of the list. `test` is file::function without parameters; `runs` counts the tests that carry it."""

    area: str
    title: str
    guard: str
    without: str
    test: str
    runs: int = 1
