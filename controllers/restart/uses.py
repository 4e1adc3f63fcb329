"""Which Secrets, and which keys of them, a workload's Pods read; and which of these its annotations ask for. Pure.

A Pod template names Secrets in environments and volumes, of containers and init containers. imagePullSecrets and the
credentials of volume plug-ins are for the kubelet, not for the program, and are no reason to restart it.

Opting in is by annotation: ours, or those of stakater's Reloader with its rules (a name is a regular expression over
the whole name; annotations of the Pod template count where the workload has none). Where ours is set, it decides alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import re2

from controllers.api.resource import Manifest

ON_CHANGE = "restart.inhaul.dev/on-change"
"""On a workload: `true` (every Secret that it uses), `false` (none), or names separated by commas."""
AUTO, SECRET_AUTO = "reloader.stakater.com/auto", "secret.reloader.stakater.com/auto"
NAMED, EXCLUDE = "secret.reloader.stakater.com/reload", "secrets.exclude.reloader.stakater.com/reload"
SEARCH, MATCH, IGNORE = "reloader.stakater.com/search", "reloader.stakater.com/match", "reloader.stakater.com/ignore"
PAUSE_PERIOD = "deployment.reloader.stakater.com/pause-period"
OPTING_IN = (ON_CHANGE, AUTO, SECRET_AUTO, NAMED, SEARCH, EXCLUDE, PAUSE_PERIOD)

MAX_SECRETS = 256
"""Secrets of one workload; what is kept of them stands in an annotation, and annotations have a limit (256 KiB)."""
_MAX_PATTERN = 256  # characters; a Secret's name has at most 253
_PLAIN = re2.compile(r"[a-z0-9.-]+")
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))  # what Go's ParseBool takes for true


@dataclass(frozen=True, slots=True)
class Use:
    """How one Secret is used. `keys` None: all of it. `optional`: a Pod starts also where it is absent."""

    keys: frozenset[str] | None
    optional: bool

    def joined(self, other: Use) -> Use:
        """Both uses in one Pod."""
        both = None if self.keys is None or other.keys is None else self.keys | other.keys
        return Use(both, self.optional and other.optional)


@dataclass(frozen=True, slots=True)
class Tags:
    """What a Secret's own annotations say."""

    match: bool = False
    ignore: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What a workload's annotations ask for. `names` are whole-name regular expressions, plain names among them."""

    used: bool = False
    search: bool = False
    names: tuple[str, ...] = ()
    exclude: frozenset[str] = frozenset()
    reloader: bool = False
    """Asked by Reloader's annotations, not by ours."""

    @property
    def by_pattern(self) -> bool:
        """Can a Secret that nobody named yet come to be meant?"""
        return any(not is_plain_name(name) for name in self.names)


def is_plain_name(name: str) -> bool:
    """A name that stands for itself alone; its dots are dots, though Reloader takes them for any character."""
    return _PLAIN.fullmatch(name) is not None


def tags_of(annotations: Mapping[str, str] | None) -> Tags:
    given = annotations or {}
    return Tags(given.get(MATCH) == "true", given.get(IGNORE) == "true")


# --- what a Pod uses


def used_secrets(pod: Mapping[str, Any]) -> dict[str, Use]:
    """Secrets by name that the containers of a Pod spec read, in environments and volumes."""
    found: dict[str, Use] = {}
    for name, use in [*_in_environments(pod), *_in_volumes(pod)]:
        found[name] = found[name].joined(use) if name in found else use
    return found


def _in_environments(pod: Mapping[str, Any]) -> Iterable[tuple[str, Use]]:
    for container in [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]:
        for variable in container.get("env") or ():
            ref = (variable.get("valueFrom") or {}).get("secretKeyRef")
            if ref and ref.get("name") and ref.get("key"):
                yield ref["name"], Use(frozenset((ref["key"],)), bool(ref.get("optional")))
        for source in container.get("envFrom") or ():
            ref = source.get("secretRef")
            if ref and ref.get("name"):
                yield ref["name"], Use(None, bool(ref.get("optional")))


def _in_volumes(pod: Mapping[str, Any]) -> Iterable[tuple[str, Use]]:
    for volume in pod.get("volumes") or ():
        secret = volume.get("secret") or {}
        if secret.get("secretName"):
            yield secret["secretName"], _of_files(secret)
        for source in (volume.get("projected") or {}).get("sources") or ():
            projected = source.get("secret") or {}
            if projected.get("name"):
                yield projected["name"], _of_files(projected)


def _of_files(source: Mapping[str, Any]) -> Use:
    keys = frozenset(item["key"] for item in source.get("items") or () if item.get("key"))
    return Use(keys or None, bool(source.get("optional")))


# --- what is asked for


def asked(workload: Manifest, *, reloader: bool = True) -> Asked | None:
    """What a workload's annotations ask for; None: it did not opt in. `reloader`: Reloader's annotations count."""
    own = workload["metadata"].get("annotations") or {}
    if ON_CHANGE in own:
        return _ours(own[ON_CHANGE])
    if not reloader:
        return None
    given = own
    if not any(name in own for name in (NAMED, SEARCH, AUTO, SECRET_AUTO)):
        given = (_template(workload).get("metadata") or {}).get("annotations") or {}
    found = Asked(
        used=given.get(AUTO) in _TRUE or given.get(SECRET_AUTO) in _TRUE,
        search=given.get(SEARCH) == "true",
        names=_listed(given.get(NAMED)),
        exclude=frozenset(_listed(own.get(EXCLUDE))),
        reloader=True,
    )
    return found if found.used or found.search or found.names else None


def _ours(text: str) -> Asked | None:
    if text.strip().lower() in ("true", "false", ""):
        return Asked(used=True) if text.strip().lower() == "true" else None
    return Asked(names=_listed(text))


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in (text or "").split(",") if part.strip()))


def _template(workload: Manifest) -> dict[str, Any]:
    return (workload.get("spec") or {}).get("template") or {}


def uses_of(workload: Manifest) -> dict[str, Use]:
    """`used_secrets` of a Deployment's, StatefulSet's or DaemonSet's Pod template."""
    return used_secrets(_template(workload).get("spec") or {})


def choose(wish: Asked, uses: Mapping[str, Use], known: Mapping[str, Tags]) -> dict[str, Use]:
    """The Secrets whose change restarts the workload. `known`: the Secrets of its namespace.

    A Secret that is named counts whole, whatever of it is used. One that does not exist (yet) is chosen too where its
    name alone decides, and under `search` (its annotation went with it): what is known of it is that it is absent, and
    what was recorded of it is kept for its return.
    """
    chosen: dict[str, Use] = {}
    for name in _named(wish.names, known):
        use = uses.get(name)
        chosen[name] = Use(None, use.optional if use else False)
    for name, use in uses.items():
        wanted = wish.used or (wish.search and (name not in known or known[name].match))
        if wanted and name not in chosen:
            chosen[name] = use
    return {
        name: use
        for name, use in sorted(chosen.items())
        if name not in wish.exclude and not known.get(name, Tags()).ignore
    }


def invalid_patterns(names: Iterable[str]) -> list[str]:
    """What is wrong with each name that is neither a name nor a regular expression. `choose` goes on without them."""
    return [problem for name in names if isinstance(problem := _pattern(name), str)]


def _named(names: Iterable[str], known: Mapping[str, Tags]) -> list[str]:
    out: dict[str, None] = {}
    for name in names:
        if is_plain_name(name):
            out[name] = None
        elif not isinstance(pattern := _pattern(name), str):
            out |= dict.fromkeys(each for each in known if pattern.fullmatch(each))
    return list(out)


def _pattern(name: str) -> Any:
    """The compiled pattern, or a text that says why there is none."""
    if len(name) > _MAX_PATTERN:
        return f"found a name of {len(name)} characters, expected at most {_MAX_PATTERN}"
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(name, options=options)
    except re2.error:
        return f"found {name!r}, expected a name or a regular expression (RE2)"
