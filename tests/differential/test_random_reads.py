"""Random lists, pages, selectors, shapes and watches over random objects are answered the same."""

from __future__ import annotations

import os
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .drawn import NAMES
from .pair import TABLE, Call, Pair
from .script import delete, get, merge, post, run, script
from .scripts.objects import CONFIGS, config
from .test_random_writes import told

pytestmark = pytest.mark.envtest
EXAMPLES = int(os.environ.get("INHAUL_DIFFERENTIAL_EXAMPLES", "25"))
NUMBERS = count()
VALUES = st.sampled_from(["1", "2", "3"])
LABELS = st.dictionaries(NAMES, VALUES, max_size=2)
OBJECTS = st.lists(st.tuples(st.sampled_from([f"o{n}" for n in range(6)]), LABELS), min_size=1, max_size=8)
SHAPES = st.sampled_from(
    [
        "",
        TABLE,
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
        "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
    ]
)
ONLY = {"labelSelector": "name"}
"""Not the ConfigMap that each namespace is given."""


@st.composite
def requirement(draw: Any, key: str) -> tuple[str, dict[str, str]]:
    """One requirement of a label selector, and labels that meet it."""
    value, other = draw(VALUES), draw(VALUES)
    found: tuple[str, dict[str, str]] = draw(
        st.sampled_from(
            [
                (f"{key}={value}", {key: value}),
                (f"{key} == {value}", {key: value}),
                (f"{key}!={value}", {}),
                (f"{key} in ({value}, {other})", {key: value}),
                (f"{key} notin ({value},{other})", {}),
                (key, {key: value}),
                (f"!{key}", {}),
                (f"{key}>{value}", {key: "9"}),
                (f"{key} < {value}", {key: "0"}),
            ]
        )
    )
    return found


@st.composite
def selector(draw: Any) -> tuple[str, dict[str, str]]:
    """A label selector for objects with a name, and labels that it selects."""
    keys = draw(st.lists(NAMES, max_size=2, unique=True))
    parts = [draw(requirement(key)) for key in keys]
    labels = {name: value for _, found in parts for name, value in found.items()}
    return ",".join(["name", *(text for text, _ in parts)]), {"name": "end", **labels}


def made(objects: list[tuple[str, dict[str, str]]]) -> list[Call]:
    """Creates and changes objects: the second time a name is drawn it is another state of it, the third its end."""
    seen: dict[str, int] = {}
    calls = []
    for name, labels in objects:
        times = seen[name] = seen.get(name, 0) + 1
        labels = {"name": name, **labels}
        if times % 3 == 1:
            calls.append(post(CONFIGS, config(name, {"n": str(times)}, labels=labels)))
        elif times % 3 == 2:
            cleared = dict.fromkeys("abc")
            calls.append(
                merge(f"{CONFIGS}/{name}", {"metadata": {"labels": {**cleared, **labels}}, "data": {"m": "1"}})
            )
        else:
            calls.append(delete(f"{CONFIGS}/{name}"))
    return calls


def check(pair: Pair, calls: list[Call]) -> None:
    found = told(run(pair, script(f"reads-{next(NUMBERS)}", *calls)))
    sent = "\n".join(f"{at}: {call.method} {call.path} {call.query} {call.accept}" for at, call in enumerate(calls))
    assert not found, "\n".join(map(str, found)) + f"\n{sent}"


RANDOM = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),  # shrinking would wait for many a watch that does not end
)


@RANDOM
@given(
    objects=OBJECTS, wanted=selector(), limit=st.integers(1, 3), shape=SHAPES,
    field=st.sampled_from(["", "metadata.name=o1", "metadata.name!=o1", "metadata.name=o1,metadata.namespace=x"]),
    include=st.sampled_from(["", "None", "Object", "Metadata"]),
)  # fmt: skip
def test_lists_and_their_pages_are_the_same(
    pair: Pair, objects: Any, wanted: Any, limit: int, shape: str, field: str, include: str
) -> None:
    calls = made(objects)
    query = {"labelSelector": wanted[0]} | ({"fieldSelector": field} if field else {})
    if include and shape == TABLE:
        query["includeObject"] = include
    calls.append(get(CONFIGS, query=query, accept=shape))
    paged = get(CONFIGS, query={**ONLY, "limit": str(limit)}, accept=shape)
    calls.append(paged)
    alive = {name for name, times in _counted(objects).items() if times % 3}
    for _ in range((len(alive) - 1) // limit):
        token = f"{{{len(calls) - 1}.metadata.continue}}"
        calls.append(get(CONFIGS, query={**ONLY, "limit": str(limit), "continue": token}, accept=shape))
    check(pair, calls)


def _counted(objects: list[tuple[str, dict[str, str]]]) -> dict[str, int]:
    names = [name for name, _ in objects]
    return {name: names.count(name) for name in names}


@RANDOM
@given(objects=OBJECTS, wanted=selector(), start=st.integers(0, 7), shape=SHAPES, initial=st.booleans())
def test_watches_tell_the_same_events(
    pair: Pair, objects: Any, wanted: Any, start: int, shape: str, initial: bool
) -> None:
    calls = [post(CONFIGS, config("first", labels={"name": "first"})), *made(objects)]
    calls.append(post(CONFIGS, config("the-end", labels=wanted[1])))
    query = {"labelSelector": wanted[0]}
    if initial:
        query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    else:
        at = [0, *(place for place, call in enumerate(calls) if call.method == "POST" and place < start)][-1]
        query["resourceVersion"] = f"{{{at}.metadata.resourceVersion}}"
    shape = shape.replace("List", "")
    check(pair, [*calls, get(CONFIGS, query=query, watch=100, until="the-end", accept=shape)])
