"""Random applies and patches by several managers leave the same object, owners and conflicts on both servers."""

from __future__ import annotations

import os
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .pair import Call, Pair
from .script import apply, get, merge, run, script
from .scripts.objects import CONFIGS, config

pytestmark = pytest.mark.envtest
EXAMPLES = int(os.environ.get("INHAUL_DIFFERENTIAL_EXAMPLES", "25"))
NUMBERS = count()
ONE = f"{CONFIGS}/one"
DATA = st.dictionaries(st.sampled_from("abc"), st.sampled_from("123"), min_size=1, max_size=3)
MANAGERS = st.sampled_from(["alice", "bob"])


def applied(data: dict[str, Any], manager: str, force: bool) -> Call:
    return apply(ONE, config("one", data), manager, query={"force": str(force).lower()})


def merged(data: dict[str, Any], manager: str) -> Call:
    return merge(ONE, {"data": data}, query={"fieldManager": manager})


CALLS = st.lists(
    st.one_of(
        st.builds(applied, DATA, MANAGERS, st.booleans()),
        st.builds(merged, DATA, st.sampled_from(["carol", "dave"])),
        st.builds(lambda key, manager: merged({key: None}, manager), st.sampled_from("abc"), MANAGERS),
    ),
    min_size=2,
    max_size=6,
)


@settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(calls=CALLS)
def test_random_writes_end_the_same(pair: Pair, calls: list[Call]) -> None:
    found = run(pair, script(f"random-{next(NUMBERS)}", *calls, get(ONE)))
    assert not found, "\n".join(map(str, found))
