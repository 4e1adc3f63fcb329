"""What one run of an automation is given, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from controllers.api.resource import Key
from controllers.git import Person
from controllers.image_automation.commit.setters import Unresolved
from controllers.image_automation.tags.reference import Ref


@dataclass(frozen=True, slots=True)
class Job:
    """What one automation wants written. `policies` and `previous`: `namespace:name` → ref."""

    key: Key
    path: str
    policies: Mapping[str, Ref]
    previous: Mapping[str, Ref]
    author: Person
    template: str
    values: Mapping[str, str]
    allow: Callable[[Sequence[str]], Mapping[str, str]]
    """Paths → why each of them may not be written; those that may be are left out. Called from the pool's thread."""
    revisions: Mapping[str, str] = field(default_factory=dict)
    """`namespace:name` → revision of the image's source, where it is known."""
    pushed: Mapping[str, int] = field(default_factory=dict)
    """`namespace:name` → second of the image's push, where it is known."""
    done: frozenset[str] = frozenset()
    """Policies whose present image this automation has written before: if it is gone, someone took it back."""
    last: str = ""
    """The commit this automation pushed last."""
    sign: Callable[[bytes], str] | None = None
    settled: str = ""
    """The commit at which this very job had nothing to do; "" where it may have."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job. `commit` is the pushed one, "" for none; `head` is where the branch stands now."""

    head: str = ""
    revision: str = ""
    commit: str = ""
    recovered: str = ""
    """A commit of ours that an earlier process pushed and could not note."""
    message: str = ""
    changes: int = 0
    unresolved: tuple[Unresolved, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    held: tuple[tuple[str, Ref], ...] = ()
    """Policies (`namespace:name`) whose image a human took back after we had written it."""
    error: Exception | None = None


@dataclass(slots=True)
class Plan:
    tip: str
    outcomes: dict[Key, Outcome] = field(default_factory=dict)
