"""Generated values: what a Password may be, and when it is made anew."""

from __future__ import annotations

import base64
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.api.external_secrets import ExternalSecretSpec, SyncWindow, SyncWindows
from controllers.api.generators import PasswordSpec
from controllers.external_secrets.generators import renewal as generated
from controllers.external_secrets.generators.password import DIGITS, SYMBOLS, password, passwords
from controllers.external_secrets.generators.renewal import GeneratedRecord
from controllers.external_secrets.values import schedule
from controllers.external_secrets.values.errors import EntryError
from controllers.external_secrets.values.schedule import Synced, decide

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
SPEC = ExternalSecretSpec(refresh_interval="1h")
MONTHLY = ExternalSecretSpec(refresh_interval="720h")


def below() -> Any:
    return random.Random(1).randrange


def test_a_password_has_a_quarter_of_digits_and_of_symbols_and_no_character_twice() -> None:
    made = password(PasswordSpec(), below())
    assert len(made) == 24 == len(set(made))
    assert sum(char in DIGITS for char in made) == 6 == sum(char in SYMBOLS for char in made)


@given(
    length=st.integers(1, 80),
    digits=st.integers(0, 30) | st.none(),
    symbols=st.integers(0, 30) | st.none(),
    no_upper=st.booleans(),
    repeat=st.booleans(),
    seed=st.integers(0, 9),
)
def test_a_password_is_as_its_spec_says_or_refused(
    length: int, digits: int | None, symbols: int | None, no_upper: bool, repeat: bool, seed: int
) -> None:
    spec = PasswordSpec(length=length, digits=digits, symbols=symbols, no_upper=no_upper, allow_repeat=repeat)
    wanted = (length // 4 if digits is None else digits, length // 4 if symbols is None else symbols)
    letters = length - sum(wanted)
    enough = repeat or (letters <= (26 if no_upper else 52) and wanted[0] <= 10 and wanted[1] <= len(SYMBOLS))
    if letters < 0 or not enough:
        with pytest.raises(EntryError):
            password(spec, random.Random(seed).randrange)
        return
    made = password(spec, random.Random(seed).randrange)
    assert len(made) == length
    assert (sum(c in DIGITS for c in made), sum(c in SYMBOLS for c in made)) == wanted
    assert repeat or len(set(made)) == length
    assert not (no_upper and any(c.isupper() for c in made))


def test_each_key_gets_a_password_of_its_own_in_the_encoding_asked_for() -> None:
    made = passwords(PasswordSpec(secret_keys=("a", "b"), encoding="base64"), below())
    assert made.keys() == {"a", "b"} and made["a"] != made["b"]
    assert len(base64.b64decode(made["a"])) == 24
    assert len(passwords(PasswordSpec(length=10, encoding="hex"), below())["password"]) == 20


@pytest.mark.parametrize(
    "spec",
    [{"length": 0}, {"length": 4, "digits": 3, "symbols": 2}, {"symbolCharacters": ""}, {"secretKeys": ["a", "a"]},
     {"length": 10_000_000, "allowRepeat": True}, {"digits": -1}],
)  # fmt: skip
def test_what_cannot_be_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(EntryError):
        passwords(PasswordSpec.model_validate(spec), below())


def stands(made: GeneratedRecord | None, spec: ExternalSecretSpec = SPEC, **changes: Any) -> bool:
    given = {"recipe": "r", "force": "", "now": NOW, **changes}
    return generated.stands(made, spec=spec, uid="u", **given)


def test_a_value_stands_until_its_interval_its_recipe_or_a_persons_word_ends_it() -> None:
    made = GeneratedRecord(NOW, "r")
    assert stands(made, now=NOW + timedelta(minutes=50))
    assert not stands(made, now=NOW + timedelta(hours=1))
    assert not stands(made, recipe="other")
    assert not stands(made, force="now!")
    assert stands(GeneratedRecord(NOW, "r", "now!"), force="now!"), "one word makes one password"
    assert not stands(None)
    assert not stands(made, now=NOW - timedelta(hours=1)), "a value from the future"


@pytest.mark.parametrize(
    "spec", [{"refreshInterval": "0"}, {"refreshPolicy": "CreatedOnce"}, {"refreshPolicy": "OnChange"}]
)
def test_where_no_timer_refreshes_a_value_stands_without_end(spec: dict[str, Any]) -> None:
    assert stands(
        GeneratedRecord(NOW, "r", expires=NOW), ExternalSecretSpec.model_validate(spec), now=NOW + timedelta(days=900)
    )


def test_a_token_is_renewed_before_it_expires_however_long_the_interval() -> None:
    token = GeneratedRecord(NOW, "r", expires=NOW + timedelta(hours=12))
    assert generated.renewal(token, MONTHLY, "u") == NOW + timedelta(hours=11)
    soon = generated.renewal(token, SPEC, "u")
    assert soon is not None and soon <= NOW + timedelta(hours=1)
    due = decide(MONTHLY, Synced(NOW, "v"), resource_version="v", uid="u", target_valid=True,
                 now=NOW + timedelta(hours=11, seconds=1), renew_at=NOW + timedelta(hours=11))  # fmt: skip
    assert due.now


def test_windows_hold_back_a_renewal_but_not_a_changed_source() -> None:
    windows = SyncWindows(kind="deny", windows=(SyncWindow(schedule="@daily", duration="24h"),))
    spec = ExternalSecretSpec(refresh_interval="720h", sync_windows=windows)
    given: dict[str, Any] = {"resource_version": "v", "uid": "u", "target_valid": True, "now": NOW}
    synced = Synced(NOW - timedelta(hours=2), "v")
    assert not decide(spec, synced, **given, renew_at=NOW).now
    assert decide(spec, synced, **given, stale="a source of its templates changed").now
    assert not decide(ExternalSecretSpec(refresh_policy="CreatedOnce"), synced, **given, stale="a source changed").now


def test_an_events_mark_is_no_wish_for_new_passwords() -> None:
    assert generated.force_of({"force-sync": "2026-06-01T12:00:00Z v2"}, NOW) == ""
    assert generated.force_of({"force-sync": "1"}, NOW) == "1"
    assert generated.force_of({"external-secrets.io/force-sync": "x"}, NOW) == "x"


def test_what_is_known_of_values_survives_a_restart_without_a_value_in_it() -> None:
    values = {"password": b"c4n4ry"}
    keys = generated.kept_under(values, {"dsn": b"x", "pw": b"c4n4ry"})
    made = {"spec.dataFrom[0]": GeneratedRecord(NOW, "r", "f", NOW + timedelta(hours=12), keys)}
    text = generated.dump(made)
    assert "c4n4ry" not in text and generated.load(text) == made
    assert keys == {"password": "pw"}
    assert generated.kept_under(values, {"dsn": b"a-c4n4ry"}) == {}


@pytest.mark.parametrize("text", ["", "x", "[]", '{"a": 1}', '{"a": {"at": "x", "recipe": ""}}', "[" * 5000])
def test_a_spoilt_annotation_is_not_known(text: str) -> None:
    assert generated.load(text) == {}


def test_the_next_look_is_no_later_than_the_refresh_itself() -> None:
    wait = schedule.next_wait(SPEC, "u")
    assert wait is not None
    assert generated.renewal(GeneratedRecord(NOW, "r"), SPEC, "u") == NOW + timedelta(seconds=wait)
