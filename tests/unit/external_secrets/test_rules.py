"""Promises of the pure rules beyond the published vectors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controllers.api.external_secrets import ExternalSecretSpec, Template, TemplateFrom
from controllers.aws.events import AwsChange
from controllers.external_secrets.events.match import announced, concerns, look_again, mark
from controllers.external_secrets.providers.secrets_manager import SECRETS_MANAGER
from controllers.external_secrets.target import desired as target
from controllers.external_secrets.target.hashing import data_hash, field_manager
from controllers.external_secrets.target.template import Engine, Rendered, TemplateSource, check_names, render
from controllers.external_secrets.values import schedule
from controllers.external_secrets.values.convert import check_keys, convert_keys
from controllers.external_secrets.values.errors import EntryError, TargetTemplateError
from controllers.external_secrets.values.find import Matcher
from controllers.external_secrets.values.rewrite import rewrite
from controllers.external_secrets.values.schedule import Synced, decide
from controllers.lang.cron import parse_schedule

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
ENGINE = Engine()


def due(spec: dict[str, Any], *, ago: float = 0, version: str = "v", valid: bool = True) -> schedule.Due:
    synced = Synced(NOW - timedelta(seconds=ago), "v")
    return decide(
        ExternalSecretSpec.model_validate(spec), synced, resource_version=version, uid="u", target_valid=valid, now=NOW
    )


def test_a_refresh_is_due_by_change_drift_or_interval_and_not_before() -> None:
    spec = {"refreshInterval": "100s"}
    assert not due(spec, ago=80).now
    assert due(spec, ago=100).now
    assert due(spec, version="other").now
    assert due(spec, valid=False).now
    waiting = due(spec, ago=10).wait
    assert waiting is not None and 80 <= waiting <= 90
    assert due(spec, ago=-60).now


def test_a_policy_other_than_periodic_has_no_timer() -> None:
    created = {"refreshPolicy": "CreatedOnce"}
    changed = {"refreshPolicy": "OnChange"}
    assert not due(created, ago=1e6, version="other").now
    assert not due(changed, ago=1e6).now
    assert due(changed, version="other").now
    assert decide(
        ExternalSecretSpec.model_validate(created), Synced(), resource_version="v", uid="u", target_valid=False, now=NOW
    ).now
    assert schedule.next_wait(ExternalSecretSpec.model_validate(changed), "u") is None


def test_interval_zero_still_refreshes_on_change() -> None:
    assert not due({"refreshInterval": "0"}, ago=1e6).now
    assert due({"refreshInterval": "0"}, version="other").now


def test_a_window_holds_back_the_timer_and_nothing_else() -> None:
    windows = {"kind": "deny", "windows": [{"schedule": "0 11 * * *", "duration": "2h"}]}
    spec = {"refreshInterval": "10s", "syncWindows": windows}
    assert not due(spec, ago=60).now
    assert due(spec, ago=60, valid=False).now
    assert due(spec, ago=60, version="other").now


def test_objects_of_one_interval_have_phases_of_their_own() -> None:
    phases = {schedule.phase(f"uid-{number}", 100.0) for number in range(100)}
    assert len(phases) == 100
    assert all(0 <= phase < 10 for phase in phases)


@pytest.mark.parametrize("text", ["* * * *", "60 * * * *", "a * * * *", "5-1 * * * *", "*/0 * * * *", "@every x"])
def test_a_schedule_that_cannot_be_read_says_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|is not"):
        parse_schedule(text)


def test_day_and_weekday_are_either_or_when_both_are_given() -> None:
    either = parse_schedule("0 0 13 * fri")
    assert either.opens(datetime(2026, 2, 13, tzinfo=UTC)) and either.opens(datetime(2026, 2, 6, tzinfo=UTC))
    assert not either.opens(datetime(2026, 2, 12, tzinfo=UTC))


def test_two_keys_that_become_one_are_an_error_everywhere() -> None:
    with pytest.raises(EntryError, match="both convert to a_b"):
        convert_keys("Default", {"a/b": 1, "a$b": 2})
    step = {"regexp": {"source": "[0-9]", "target": ""}}
    with pytest.raises(EntryError, match="makes k of both k1 and k2"):
        rewrite([step], {"k1": b"", "k2": b""}, ENGINE.text)


def test_a_merge_keeps_integers_whole_writes_the_rest_as_go_does_and_lets_priority_win() -> None:
    values = {"a": b'{"n": 12345678901234567890, "x": 1.50}', "b": b'{"x": 2}'}
    merge = {"conflictPolicy": "Ignore", "priority": ["a"]}
    assert rewrite([{"merge": merge}], values, ENGINE.text) == {"n": b"12345678901234567890", "x": b"1.5"}
    into = {"strategy": "JSON", "into": "all", "conflictPolicy": "Ignore"}
    assert rewrite([{"merge": into}], values, ENGINE.text)["all"] == b'{"n":12345678901234567890,"x":2}'


def test_gos_dollar_x_names_the_group_x() -> None:
    step = {"regexp": {"source": "^(.*)$", "target": "dev-$1_x"}}
    assert rewrite([step], {"k": b"v"}, ENGINE.text) == {"dev-": b"v"}
    assert rewrite([{"regexp": {"source": "(.*)", "target": "dev-$1"}}], {"k": b""}, ENGINE.text) == {"dev-k": b""}


def test_a_merge_into_json_has_no_html_escapes_and_the_parts_do_as_upstream() -> None:
    values = {"a": b'{"u": "a&b", "o": {"h": "<x>"}, "f": 2.0, "e": 1e21, "s": "\\ud800-"}', "n": b"null"}
    into = rewrite([{"merge": {"strategy": "JSON", "into": "all"}}], values, ENGINE.text)["all"]
    assert into.decode() == '{"e":1e+21,"f":2,"o":{"h":"<x>"},"s":"\ufffd-","u":"a&b"}'
    parts = rewrite([{"merge": {}}], values, ENGINE.text)
    assert (parts["o"], parts["e"], parts["s"]) == (b'{"h":"\\u003cx\\u003e"}', b"1" + b"0" * 21, "\ufffd-".encode())


def test_a_key_that_a_step_empties_is_seen_by_the_next_and_dropped_after_the_last() -> None:
    empty = {"regexp": {"source": "^old$", "target": ""}}
    again = {"regexp": {"source": "^$", "target": "new"}}
    assert rewrite([empty], {"old": b"1", "b": b"2"}, ENGINE.text) == {"b": b"2"}
    assert rewrite([empty, again], {"old": b"1", "b": b"2"}, ENGINE.text) == {"b": b"2", "new": b"1"}


@pytest.mark.parametrize("key", ["a b", "a/b", "", "x" * 254])
def test_a_key_that_no_entry_may_yield_is_named(key: str) -> None:
    with pytest.raises(EntryError):
        check_keys({key: b""})


def test_a_key_of_another_script_is_for_the_template_and_refused_only_in_the_secret() -> None:
    data = {"größe": b"1", "ok": b"2"}
    check_keys(data)
    check_names(render(Template(data={"out": "{{ .ok }}"}), data, engine=ENGINE), ())
    with pytest.raises(TargetTemplateError, match="not valid in a Secret"):
        check_names(render(None, data, engine=ENGINE), ())


def test_a_find_takes_exact_tag_pairs_below_its_prefix() -> None:
    matches = Matcher({"tags": {"team": "a"}, "name": {"regexp": "db$"}}, prefix="prod/")
    assert matches("prod/db", {"team": "a"})
    assert not matches("prod/db", {"team": "ab"})
    assert not matches("prod/db", {"a": "team"})
    assert not matches("test/db", {"team": "a"})
    assert not matches("prod/dbx", {"team": "a"})


def change(name: str, arn: str = "", service: Any = "secretsmanager", region: str = "eu-west-1") -> AwsChange:
    return AwsChange(service, "PutSecretValue", name, arn, "123456789012", region, NOW, version_id="v2")


ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:team/db-AbCdEf"


@pytest.mark.parametrize("key", ["team/db", ARN, ARN[:-7]])
@pytest.mark.parametrize("event", [change("team/db"), change("team/db", ARN)])
def test_an_event_finds_its_readers_by_name_arn_and_partial_arn(key: str, event: AwsChange) -> None:
    assert concerns(event, SECRETS_MANAGER.remote_key(key), region="eu-west-1")
    assert concerns(event, SECRETS_MANAGER.remote_key("db", prefix="team/"), region="eu-west-1")


def test_an_event_of_another_region_account_service_or_name_concerns_nobody() -> None:
    key = SECRETS_MANAGER.remote_key("team/db")
    assert not concerns(change("team/db", region="us-east-1"), key, region="eu-west-1")
    assert not concerns(change("team/db", service="ssm"), key, region="eu-west-1")
    assert not concerns(change("team/dbx"), key, region="eu-west-1")
    other = SECRETS_MANAGER.remote_key(ARN.replace("123456789012", "999999999999"))
    assert not concerns(change("team/db"), other, region="eu-west-1")


def test_an_announced_version_is_looked_for_again_and_then_given_up() -> None:
    news = announced(mark(change("x")), NOW + timedelta(seconds=3))
    assert news == ("v2", 3.0)
    assert [look_again(since) for since in (0.0, 3.0, 6.0, 20.0)] == [2.0, 2.0, 9.0, None]
    assert announced("2024", NOW) is None
    assert announced("true please", NOW) is None


def test_the_field_manager_is_hashed_where_it_would_be_too_long() -> None:
    assert field_manager("db") == "externalsecrets.external-secrets.io/db"
    assert field_manager("x" * 28).startswith("externalsecrets.external-secrets.io/sha3/")


@pytest.mark.parametrize(
    ("deletion", "missing", "found", "outcome"),
    [
        ("Retain", 0, 1, "sync"), ("Retain", 1, 1, "fail"), ("Retain", 1, 0, "fail"), ("Retain", 0, 0, "keep"),
        ("Delete", 1, 1, "sync"), ("Delete", 1, 0, "delete"), ("Delete", 0, 0, "delete"),
        ("Merge", 1, 1, "sync"), ("Merge", 1, 0, "sync"), ("Merge", 0, 0, "sync"),
    ],
)  # fmt: skip
def test_what_follows_when_values_are_gone(deletion: str, missing: int, found: int, outcome: str) -> None:
    assert target.after_missing(deletion, missing=missing, found=found) == outcome


def external(**spec: Any) -> dict[str, Any]:
    meta = {
        "name": "es", "namespace": "ns", "uid": "u", "labels": {"a": "1"},
        "annotations": {"b": "2", "force-sync": "x", "secrets.inhaul.dev/optional": "k"},
    }  # fmt: skip
    return {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": meta, "spec": spec}


def test_without_a_template_the_metadata_of_the_external_secret_is_copied_but_not_its_triggers() -> None:
    wanted = target.desired_secret(external(), Rendered({"k": b"v"}))
    assert wanted.labels["a"] == "1"
    assert dict(wanted.annotations) == {"b": "2"}
    assert "v" not in repr(wanted).replace("values", "").split("labels")[0].split("type")[0]
    bare = target.desired_secret(external(target={"template": {"data": {}}}), Rendered({"k": b"v"}))
    assert "a" not in bare.labels and not bare.annotations


def managed(manager: str, labels: list[str], annotations: list[str], data: list[str]) -> dict[str, Any]:
    def fields(names: list[str]) -> dict[str, Any]:
        return {f"f:{name}": {} for name in names}

    meta = {"f:labels": fields(labels), "f:annotations": fields(annotations)}
    return {"manager": manager, "operation": "Update", "fieldsV1": {"f:metadata": meta, "f:data": fields(data)}}


def test_a_foreign_hand_on_a_label_or_key_shows_in_metadata_alone() -> None:
    wanted = target.desired_secret(external(), Rendered({"k": b"v"}))
    body = target.manifest(wanted)
    names = (list(body["metadata"]["labels"]), list(body["metadata"]["annotations"]), ["k"])
    body["metadata"]["managedFields"] = [managed("me", *names)]
    assert target.metadata_hash(body, "me") == body["metadata"]["annotations"][target.METADATA_HASH]
    body["metadata"]["managedFields"] = [managed("me", *names[:2], []), managed("kubectl", [], [], ["k"])]
    assert target.metadata_hash(body, "me") != body["metadata"]["annotations"][target.METADATA_HASH]
    body["metadata"]["managedFields"] = [managed("me", names[0][1:], names[1], ["k"])]
    assert target.metadata_hash(body, "me") != body["metadata"]["annotations"][target.METADATA_HASH]


def test_a_merge_touches_its_own_keys_only() -> None:
    wanted = target.desired_secret(external(target={"creationPolicy": "Merge"}), Rendered({"mine": b"2"}))
    live = {
        "metadata": {"uid": "s", "resourceVersion": "1", "managedFields": [managed("me", [], [], ["mine", "old"])]},
        "data": {"mine": "MQ==", "old": "MQ==", "theirs": "MQ=="},
    }
    patch = target.merge_patch(wanted, live, "me")
    assert patch["data"] == {"mine": "Mg==", "old": None}
    assert patch["metadata"]["annotations"][target.DATA_HASH] == data_hash({"mine": b"2", "theirs": b"1"})
    assert not target.same(patch, live)


def test_templates_win_over_the_providers_keys_in_order() -> None:
    template = Template(merge_policy="Merge", data={"a": "data"}, template_from=(TemplateFrom(literal="x"),))
    sources = [TemplateSource({"literal": "a: from\nb: '{{ .a }}'"}, "KeysAndValues")]
    made = render(template, {"a": b"provider", "c": b"kept"}, sources, engine=ENGINE)
    assert made.data == {"a": b"data", "b": b"provider", "c": b"kept"}
    replaced = render(Template(data={"x": "1"}), {"a": b"gone"}, engine=ENGINE)
    assert replaced.data == {"x": b"1"}
    assert render(Template(type="Opaque"), {"a": b"kept"}, engine=ENGINE).data == {"a": b"kept"}


def test_a_template_problem_names_key_and_line_and_no_value() -> None:
    with pytest.raises(TargetTemplateError) as caught:
        render(Template(data={"dsn": "x\n{{ .user.x }}"}), {"user": b"canary"}, engine=ENGINE)
    assert "key dsn" in str(caught.value) and ":2:" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_the_refreshed_secret_may_hold_any_bytes() -> None:
    raw = bytes(range(256))
    assert render(Template(data={"x": "{{ .v }}"}), {"v": raw}, engine=ENGINE).data["x"] == raw
