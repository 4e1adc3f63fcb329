"""What a listing without values tells: who has news, told once, and with as few names listed as will do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.external_secrets.events import version_diff as sweep
from controllers.external_secrets.events.match import Subscription, announced
from controllers.external_secrets.events.version_diff import (
    ChangedVersion,
    Listing,
    Subscriber,
    SweepState,
    interval_of,
    news,
    prefixes,
    provenance,
)
from controllers.external_secrets.providers.source import CURRENT, ListedSecret
from controllers.external_secrets.store_reconcile import not_swept
from controllers.external_secrets.values.remote_key import RemoteKey

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:{}-AbCdEf"


def secret(name: str, version: str = "v1", *, ago: float = 3600, **stages: str) -> ListedSecret:
    changed = NOW - timedelta(seconds=ago)
    return ListedSecret(name, ARN.format(name), {CURRENT: version, **stages}, changed, {})


def key(name: str, version: str = "", *, tags: bool = False) -> RemoteKey:
    return RemoteKey("SecretsManager", name, version, tags)


def reader(*keys: RemoteKey, finds: tuple[Any, ...] = (), ago: float = 600, **read: str) -> Subscriber:
    known = {ARN.format(name): frozenset((version,)) for name, version in read.items()}
    found = tuple(("SecretsManager", find, "") for find in finds)
    return Subscriber((Subscription("eu-west-1", keys, found),), known, NOW - timedelta(seconds=ago))


def look(listed: list[ListedSecret], who: Subscriber, memory: SweepState | None = None) -> ChangedVersion | None:
    return news(Listing("SecretsManager", listed), who, memory or SweepState(), now=NOW)


def test_what_is_as_it_was_is_no_news() -> None:
    assert look([secret("db"), secret("other", "v9")], reader(key("db"), db="v1")) is None


def test_another_current_version_is_news_that_names_it() -> None:
    found = look([secret("db", "v2")], reader(key("db"), db="v1"))
    assert found is not None
    assert found.why == "version"
    told = announced(found.mark, NOW)
    assert told is not None and told[0] == "v2"


@pytest.mark.parametrize("name", ["db", ARN.format("db"), ARN.format("db")[:-7]])
def test_a_key_is_found_by_name_arn_and_part_of_an_arn(name: str) -> None:
    assert look([secret("db", "v1")], reader(key(name), db="v1")) is None
    assert look([secret("db", "v2")], reader(key(name), db="v1")) is not None


def test_the_stage_that_is_read_decides() -> None:
    listed = [secret("db", "v2", AWSPREVIOUS="v1")]
    assert look(listed, reader(key("db", "AWSPREVIOUS"), db="v1")) is None
    assert look(listed, reader(key("db", "AWSPREVIOUS"), db="v0")) is not None


def test_a_fixed_version_never_changes() -> None:
    assert look([secret("db", "v2")], reader(key("db", "uuid/v1"), db="v1")) is None


def test_what_was_read_and_is_not_listed_is_gone_once() -> None:
    memory, who = SweepState(), reader(key("db"), db="v1")
    first = look([secret("other")], who, memory)
    assert first is not None and first.why == "gone"
    assert look([secret("other")], who, memory) is None
    back = look([secret("other"), secret("db")], who, memory)
    assert back is not None and back.why == "appeared"
    assert look([secret("other"), secret("db")], who, memory) is None


def test_a_key_of_another_account_is_never_called_gone() -> None:
    foreign = "arn:aws:secretsmanager:eu-west-1:210987654321:secret:db-AbCdEf"
    who = Subscriber((Subscription("eu-west-1", (key(foreign),)),), {foreign: frozenset(("v1",))}, NOW)
    assert look([secret("other")], who) is None


def test_news_is_told_once_and_the_next_change_again() -> None:
    memory, who = SweepState(), reader(key("db"), db="v1")
    assert look([secret("db", "v2")], who, memory) is not None
    assert look([secret("db", "v2")], who, memory) is None
    assert look([secret("db", "v3", ago=10)], who, memory) is not None


def test_a_key_of_which_nothing_is_known_is_looked_at_once() -> None:
    memory, who = SweepState(), reader(key("db"))
    found = look([secret("db")], who, memory)
    assert found is not None and found.why == "appeared"
    assert look([secret("db")], who, memory) is None


def test_tags_are_looked_at_when_the_secret_changed_since() -> None:
    assert look([secret("db", ago=700)], reader(key("db", tags=True))) is None
    assert look([secret("db", ago=500)], reader(key("db", tags=True))) is not None


def test_a_find_hears_of_what_comes_changes_and_goes() -> None:
    memory, who = SweepState(), reader(finds=({"name": {"regexp": "^team/"}},))
    assert look([secret("team/a"), secret("x", ago=1)], who, memory) is None
    assert look([secret("team/a"), secret("team/b")], who, memory) is not None
    assert look([secret("team/a"), secret("team/b")], who, memory) is None
    assert look([secret("team/a", "v2"), secret("team/b")], who, memory) is not None
    assert look([secret("team/b")], who, memory) is not None
    assert look([secret("team/b")], who, memory) is None


def test_a_find_hears_at_the_first_sweep_of_what_changed_since_its_refresh() -> None:
    assert look([secret("team/a", ago=500)], reader(finds=({"name": {"regexp": "^team/"}},))) is not None
    assert look([secret("team/a", ago=500)], reader(finds=({"tags": {"team": "a"}},))) is None


def test_provenance_is_read_from_what_a_target_says_and_hostile_text_is_nothing() -> None:
    text = json.dumps({"user": {"arn": "a", "version": "1"}, "password": {"arn": "a", "version": "2"}})
    assert provenance(text) == {"a": frozenset(("1", "2"))}
    for hostile in ("", "[]", "{", "null", '{"a": 1}', '{"a": {}}', "[" * 100_000):
        assert provenance(hostile) == {}


def test_only_the_beginnings_of_what_is_read_are_listed() -> None:
    assert prefixes([Subscription("r", (key("team/a/x"), key("team/b"), key("ops/db")))]) == ("ops/db", "team/")
    assert prefixes([Subscription("r", (key(ARN.format("team/db")),))]) == ("team/db",)
    assert prefixes([Subscription("r", (key("a"),), (("SecretsManager", {"name": {"regexp": "x"}}, ""),))]) == ()
    assert prefixes([Subscription("r", (), (("SecretsManager", {"path": "team/"}, "prod/"),))]) == ("prod/team/",)
    assert prefixes([Subscription("r", tuple(key(f"{number}/x") for number in range(11)))]) == ()


NAMES = st.text(alphabet="ab/-", min_size=1, max_size=8)


@given(st.lists(NAMES, min_size=1, max_size=30))
def test_every_name_that_is_read_begins_with_one_of_the_prefixes(names: list[str]) -> None:
    found = prefixes([Subscription("r", tuple(key(name) for name in names))])
    assert not found or all(name.startswith(found) for name in names)
    assert len(found) <= 10
    assert "" not in found


def test_the_annotation_says_how_often() -> None:
    assert interval_of("true", floor=60) == 600
    assert interval_of("5m", floor=60) == 300
    assert interval_of("1s", floor=60) == 60
    assert interval_of("", floor=60) == interval_of("false", floor=60) == 0
    with pytest.raises(ValueError):
        interval_of("often", floor=60)


@pytest.mark.parametrize(("annotation", "told"), [("true", False), ("10m", False), ("false", False), ("soon", True)])
def test_an_annotation_that_cannot_be_read_is_told_on_the_store(annotation: str, told: bool) -> None:
    message = not_swept({"metadata": {"name": "aws", "annotations": {sweep.ANNOTATION: annotation}}})
    assert (f"not swept: annotation {sweep.ANNOTATION}: " in message) is told
    assert ("soon" in message) is told


def test_a_store_without_annotations_is_just_valid() -> None:
    assert not_swept({"metadata": {"name": "aws"}}) == ""
