"""Random writes by several managers, through every door, leave the same object, owners and refusals on both servers."""

from __future__ import annotations

import os
import re
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings

from .compare import Difference
from .drawn import CONFIG, CRD, CUSTOM, DEPLOYMENT, MIXED, ROLE, SERVICE, TEMPLATE, Kind, without_controller, writes
from .pair import Call, Pair
from .script import get, post, run, script

pytestmark = pytest.mark.envtest
EXAMPLES = int(os.environ.get("INHAUL_DIFFERENTIAL_EXAMPLES", "25"))
NUMBERS = count()
SENTENCE = re.compile(r"body(\.details\.causes\.\d+)?\.message|.*\bcolumnDefinitions\.\d+\.description")
RANDOM = settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def told(found: list[Difference]) -> list[Difference]:
    """Differences but for sentences: those are in our own words, or left out."""
    return [item for item in found if not SENTENCE.fullmatch(item.path)]


def check(pair: Pair, kind: Kind, calls: list[Call]) -> None:
    name = f"{kind.head['kind'].lower()}-{next(NUMBERS)}"
    found = told(run(pair, script(name, *calls, forget=without_controller)))
    sent = "\n".join(
        f"{number}: {call.method} {call.path} {call.query} {call.body}" for number, call in enumerate(calls)
    )
    assert not found, "\n".join(map(str, found)) + f"\n{sent}"


@RANDOM
@given(calls=writes(CONFIG))
def test_writes_of_a_config_map_end_the_same(pair: Pair, calls: list[Call]) -> None:
    check(pair, CONFIG, calls)


@RANDOM
@given(calls=writes(ROLE))
def test_writes_of_a_list_that_is_one_value_end_the_same(pair: Pair, calls: list[Call]) -> None:
    check(pair, ROLE, calls)


@RANDOM
@given(calls=writes(TEMPLATE))
def test_writes_of_lists_by_name_end_the_same(pair: Pair, calls: list[Call]) -> None:
    check(pair, TEMPLATE, calls)


@RANDOM
@given(calls=writes(SERVICE))
def test_writes_of_a_list_by_two_keys_end_the_same(pair: Pair, calls: list[Call]) -> None:
    check(pair, SERVICE, calls)


@RANDOM
@given(calls=writes(DEPLOYMENT))
def test_writes_of_a_deployment_end_the_same(pair: Pair, calls: list[Call]) -> None:
    check(pair, DEPLOYMENT, calls)


@pytest.fixture(scope="module")
def mixed(pair: Pair) -> Pair:
    """A pair that serves the custom kind."""
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for call in (
        post(crds, CRD),
        get(f"{crds}/{CRD['metadata']['name']}", until="InitialNamesAccepted"),  # type: ignore[index]
        get(MIXED.replace("{ns}", "default"), until='"items"'),
    ):
        pair.both(call, call)
    return pair


@RANDOM
@given(calls=writes(CUSTOM))
def test_writes_of_a_custom_object_end_the_same(mixed: Pair, calls: list[Call]) -> None:
    check(mixed, CUSTOM, calls)
