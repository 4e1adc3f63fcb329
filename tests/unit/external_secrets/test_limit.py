"""One slow identity does not take all workers, and a mass that is due does not keep out what is new."""

from __future__ import annotations

import pytest

from controllers.external_secrets.fetch.limit import AdmissionLimit, Backpressure
from controllers.external_secrets.providers.source import ValueSource
from controllers.runtime.queue import URGENT

SLOW, QUICK = (ValueSource(name, "eu-west-1", "ParameterStore") for name in ("slow", "quick"))


def crowd() -> AdmissionLimit:
    return AdmissionLimit(lambda source: 30.0 if source == SLOW else 0.2, inside=2)


def full(found: AdmissionLimit, source: ValueSource) -> bool:
    try:
        found.check({source})
    except Backpressure:
        return True
    return False


def test_beyond_its_places_a_slow_source_is_left_at_once_and_a_quick_one_is_not() -> None:
    found = crowd()
    token = URGENT.set(False)
    try:
        with found.inside({SLOW, QUICK}), found.inside({SLOW, QUICK}):
            assert full(found, SLOW)
            assert not full(found, QUICK)
        assert not full(found, SLOW)
    finally:
        URGENT.reset(token)


def test_the_urgent_have_places_of_their_own() -> None:
    found = crowd()
    with found.inside({SLOW}), found.inside({SLOW}):
        token = URGENT.set(False)
        assert full(found, SLOW)
        URGENT.reset(token)
        assert not full(found, SLOW)
        with found.inside({SLOW}), found.inside({SLOW}):
            assert full(found, SLOW)


def test_whoever_leaves_knows_when_to_come_again_and_why() -> None:
    found = crowd()
    with (
        found.inside({SLOW}),
        found.inside({SLOW}),
        found.inside({SLOW}),
        found.inside({SLOW}),
        pytest.raises(Backpressure, match="Throttled") as caught,
    ):
        found.check({SLOW})
    assert caught.value.retry_after is not None
    assert 20 < caught.value.retry_after < 40


def test_places_are_free_again_when_a_refresh_fails() -> None:
    found = crowd()
    for _ in range(10):
        with pytest.raises(ValueError), found.inside({SLOW}):
            raise ValueError
    assert not full(found, SLOW)
