"""Which workloads a Secret's change restarts, and what is written: values in, values out."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controllers.api.resource import Key, Manifest
from controllers.restart import decide as restart
from controllers.restart.decide import ABSENT, SEEN, Record, decide, read_record
from controllers.restart.marks import WHOLE, Marker
from controllers.restart.uses import Asked, Tags, Use, asked, choose, invalid_patterns, used_secrets, uses_of
from controllers.restart.watch import runs_reloader
from controllers.runtime.sensitive import Sensitive

NOW = datetime(2026, 8, 10, 12, 0, tzinfo=UTC)


def workload(pod: dict[str, Any] | None = None, template: dict[str, str] | None = None, **annotations: str) -> Manifest:
    return {
        "metadata": {
            "name": "web",
            "namespace": "a",
            "uid": "u",
            "resourceVersion": "7",
            "annotations": {name.replace("__", "/").replace("_", "."): text for name, text in annotations.items()},
        },
        "spec": {"template": {"metadata": {"annotations": template or {}}, "spec": pod or {}}},
    }


def annotated(**annotations: str) -> Manifest:
    made = workload()
    made["metadata"]["annotations"] = annotations
    return made


# --- uses

POD: dict[str, Any] = {
    "initContainers": [{"name": "migrate", "envFrom": [{"secretRef": {"name": "whole", "optional": True}}]}],
    "containers": [
        {
            "name": "app",
            "env": [
                {"name": "A", "value": "plain"},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "db", "key": "user"}}},
                {"name": "C", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password", "optional": True}}},
                {"name": "D", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "x"}}},
            ],
            "envFrom": [{"configMapRef": {"name": "config"}}],
        }
    ],
    "volumes": [
        {"name": "tls", "secret": {"secretName": "tls", "items": [{"key": "tls.crt", "path": "c"}]}},
        {
            "name": "all",
            "projected": {
                "sources": [
                    {"secret": {"name": "token"}},
                    {"secret": {"name": "tls", "items": [{"key": "ca.crt", "path": "ca"}]}},
                    {"serviceAccountToken": {"path": "t"}},
                ]
            },
        },
        {"name": "csi", "csi": {"driver": "x", "nodePublishSecretRef": {"name": "kubelets"}}},
    ],
    "imagePullSecrets": [{"name": "registry"}],
}


def test_a_pods_secrets_are_found_in_environments_volumes_and_init_containers_key_by_key() -> None:
    assert used_secrets(POD) == {
        "whole": Use(None, True),
        "db": Use(frozenset(("user", "password")), False),
        "tls": Use(frozenset(("tls.crt", "ca.crt")), False),
        "token": Use(None, False),
    }
    assert uses_of({"metadata": {"name": "x"}}) == {}


# --- opting in


@pytest.mark.parametrize(
    ("annotations", "template", "expected"),
    [
        ({}, {}, None),
        ({"restart.inhaul.dev/on-change": "true"}, {}, Asked(used=True)),
        ({"restart.inhaul.dev/on-change": " db , tls,db"}, {}, Asked(names=("db", "tls"))),
        ({"restart.inhaul.dev/on-change": "false", "reloader.stakater.com/auto": "true"}, {}, None),
        ({"reloader.stakater.com/auto": "true"}, {}, Asked(used=True, reloader=True)),
        ({"reloader.stakater.com/auto": "1"}, {}, Asked(used=True, reloader=True)),
        ({"reloader.stakater.com/auto": "yes"}, {}, None),
        (
            {"reloader.stakater.com/auto": "false", "secret.reloader.stakater.com/auto": "true"},
            {},
            Asked(used=True, reloader=True),
        ),
        ({"configmap.reloader.stakater.com/auto": "true"}, {}, None),
        ({"configmap.reloader.stakater.com/reload": "db"}, {}, None),
        ({"secret.reloader.stakater.com/reload": "db,app-.*"}, {}, Asked(names=("db", "app-.*"), reloader=True)),
        ({"reloader.stakater.com/search": "true"}, {}, Asked(search=True, reloader=True)),
        ({"reloader.stakater.com/search": "1"}, {}, None),
        ({}, {"reloader.stakater.com/auto": "true"}, Asked(used=True, reloader=True)),
        ({"reloader.stakater.com/auto": "false"}, {"reloader.stakater.com/auto": "true"}, None),
        (
            {"reloader.stakater.com/auto": "true", "secrets.exclude.reloader.stakater.com/reload": "db, x"},
            {},
            Asked(used=True, exclude=frozenset(("db", "x")), reloader=True),
        ),
    ],
)  # fmt: skip
def test_opting_in_follows_our_annotation_and_else_reloaders(
    annotations: dict[str, str], template: dict[str, str], expected: Asked | None
) -> None:
    made = workload(template=template)
    made["metadata"]["annotations"] = annotations
    assert asked(made) == expected


def test_reloaders_annotations_can_be_left_to_reloader() -> None:
    assert asked(annotated(**{"reloader.stakater.com/auto": "true"}), reloader=False) is None
    assert asked(annotated(**{"restart.inhaul.dev/on-change": "true"}), reloader=False) == Asked(used=True)


USES = {"db": Use(frozenset(("user",)), False), "tls": Use(None, True)}
KNOWN = {"db": Tags(), "tls": Tags(match=True), "app-1": Tags(), "app-2": Tags(ignore=True), "other": Tags()}


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (Asked(used=True), {"db", "tls"}),
        (Asked(search=True), {"tls"}),
        (Asked(names=("app-.*",)), {"app-1"}),
        (Asked(names=("app",)), {"app"}),  # named and absent: it may come
        (Asked(names=("pp-.*",)), set()),  # the whole name, not a part of it
        (Asked(names=("app-1|oth",)), {"app-1"}),
        (Asked(used=True, exclude=frozenset(("db",))), {"tls"}),
        (Asked(names=("app-2",)), set()),  # the Secret itself says: ignore
    ],
)
def test_what_is_chosen_is_what_was_asked_for(wish: Asked, expected: set[str]) -> None:
    assert set(choose(wish, USES, KNOWN)) == expected


def test_a_named_secret_counts_whole_and_a_used_one_by_its_keys() -> None:
    assert choose(Asked(names=("db",)), USES, KNOWN)["db"] == Use(None, False)
    assert choose(Asked(used=True), USES, KNOWN)["db"] == Use(frozenset(("user",)), False)


def test_under_search_a_secret_that_is_gone_is_still_waited_for() -> None:
    assert set(choose(Asked(search=True), USES, {"db": Tags()})) == {"tls"}


@pytest.mark.parametrize("pattern", ["(", "[a", "a" * 300 + ".*"])
def test_an_invalid_pattern_is_reported_and_leaves_the_other_names_at_work(pattern: str) -> None:
    names = (pattern, "db", "app-.*")
    (problem,) = invalid_patterns(names)
    assert problem.startswith("found")
    assert set(choose(Asked(names=names), USES, KNOWN)) == {"db", "app-1"}


# --- marks


def secret(name: str = "db", version: str = "1", namespace: str = "a", **data: str) -> Manifest:
    coded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": {"name": name, "namespace": namespace, "resourceVersion": version}, "data": coded}


MARKER = Marker(Sensitive(b"k" * 32))
WEB = Key("a", "web")


def mark(made: Manifest, *keys: str, workload: Key = WEB, marker: Marker = MARKER) -> dict[str, str]:
    use = Use(frozenset(keys) or None, False)
    return dict(marker.marks("Deployment", workload, made["metadata"]["name"], use, marker.digests(made)))


def test_marks_depend_on_the_data_alone() -> None:
    first, again = secret(user="u", password="p"), secret(version="9", password="p", user="u")
    again["metadata"]["annotations"] = {"x": "y"}
    assert mark(first) == mark(again)
    assert mark(first) != mark(secret(user="u", password="q"))
    assert mark(first, "user") == mark(secret(user="u", password="q"), "user")
    assert mark(secret(a="bc")) != mark(secret(ab="c"))
    assert mark(first, "user", "absent") == {"user": mark(first, "user")["user"], "absent": ABSENT}


def test_equal_values_look_different_in_other_places_and_under_another_key() -> None:
    pin = secret(pin="0000")
    marks = {
        mark(pin, "pin")["pin"],
        mark(pin, "pin", workload=Key("a", "api"))["pin"],
        mark(secret("db2", pin="0000"), "pin")["pin"],
        mark(secret(namespace="b", pin="0000"), "pin")["pin"],
        mark(pin, "pin", marker=Marker(Sensitive(b"j" * 32)))["pin"],
        mark(secret(pin="0000", other="0000"), "other")["other"],
    }
    assert len(marks) == 6
    assert (
        len({MARKER.tag("Deployment", WEB), MARKER.tag("StatefulSet", WEB), MARKER.tag("Deployment", Key("b", "web"))})
        == 3
    )


def test_no_repr_shows_the_key_or_a_digest() -> None:
    assert "k" * 8 not in repr(MARKER.__dict__)
    assert repr(MARKER.digests(secret(pin="0000"))) == "Digests(version='1')"


# --- deciding

BY = "tag"


@pytest.mark.parametrize(
    ("recorded", "present", "optional", "action", "after"),
    [
        (None, {"db": {"*": "1"}}, (), "record", {"db": {"*": "1"}}),
        ({"db": {"*": "1"}}, {"db": {"*": "1"}}, (), "nothing", {"db": {"*": "1"}}),
        ({"db": {"*": "1"}}, {"db": {"*": "2"}}, (), "restart", {"db": {"*": "2"}}),
        ({"db": {"*": "1"}}, {"db": {"*": ""}}, (), "nothing", {"db": {"*": "1"}}),  # vanished: kept for its return
        ({"db": {"*": "1"}}, {"db": {"*": ""}}, ("db",), "nothing", {"db": {"*": "1"}}),
        ({"db": {"*": ""}}, {"db": {"*": "1"}}, (), "record", {"db": {"*": "1"}}),  # no Pod could start before
        ({"db": {"*": ""}}, {"db": {"*": "1"}}, ("db",), "restart", {"db": {"*": "1"}}),  # Pods run without it
        ({}, {"db": {"*": "1"}}, (), "record", {"db": {"*": "1"}}),  # newly used: the template changed for that
        ({"db": {"*": "1"}}, {}, (), "record", {}),  # no longer used
        ({"db": {"*": "1"}}, {"db": {"user": "2"}}, (), "record", {"db": {"user": "2"}}),  # used in another way
        ({"db": {"a": "1", "b": "1"}}, {"db": {"a": "1", "b": "2"}}, (), "restart", {"db": {"a": "1", "b": "2"}}),
        ({"db": {"a": "1"}}, {"db": {"a": "2", "b": "9"}}, (), "restart", {"db": {"a": "2", "b": "9"}}),
        ({"db": {"a": "1"}, "tls": {"*": "1"}}, {"db": {"a": "1"}, "tls": {"*": "3"}}, (), "restart",
         {"db": {"a": "1"}, "tls": {"*": "3"}}),
    ],
)  # fmt: skip
def test_only_other_data_than_pods_were_started_with_is_a_restart(
    recorded: dict[str, dict[str, str]] | None,
    present: dict[str, dict[str, str]],
    optional: tuple[str, ...],
    action: str,
    after: dict[str, dict[str, str]],
) -> None:
    record = None if recorded is None else Record(BY, recorded)
    decision = decide(record, present, frozenset(optional))
    assert (decision.action, decision.secrets) == (action, after)
    assert bool(decision.changed) is (action == "restart")


def test_acting_on_a_decision_leaves_nothing_to_do() -> None:
    first = decide(None, {"db": {"*": "1"}, "tls": {"*": ""}}, frozenset())
    second = decide(Record(BY, first.secrets), {"db": {"*": "2"}, "tls": {"*": "5"}}, frozenset())
    assert (second.action, second.changed) == ("restart", ("db",))
    assert decide(Record(BY, second.secrets), {"db": {"*": "2"}, "tls": {"*": "5"}}, frozenset()).action == "nothing"


def test_two_changes_at_once_are_one_restart_that_names_both() -> None:
    record = Record(BY, {"db": {"*": "1"}, "tls": {"*": "1"}})
    decision = decide(record, {"db": {"*": "2"}, "tls": {"*": "2"}}, frozenset())
    assert decision.changed == ("db", "tls")


# --- the record and the patches


def test_a_record_is_read_as_it_was_written() -> None:
    record = Record(BY, {"db": {"*": "m"}}, NOW)
    assert read_record(annotated(**{SEEN: record.text()}), BY) == record


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"by":"tag"}', '{"by":"tag","secrets":[]}', '{"by":"tag","secrets":{"a":1}}',
     '{"by":"other","secrets":{}}', '{"by":"tag","secrets":{},"at":"soon"}', '{"by":"tag","secrets":{},"at":5}',
     '{"by":"tag","secrets":{},"at":"2026-13-01T00:00:00Z"}', "[" * 100_000,
     '{"by":"tag","secrets":{}}' + " " * 200_000],
)  # fmt: skip
def test_a_record_that_is_foreign_or_broken_is_none(text: str) -> None:
    assert read_record(annotated(**{SEEN: text}), BY) is None


def test_the_first_record_touches_no_pod_template_and_only_the_object_that_was_read() -> None:
    patch = restart.patch_record(workload(), Record(BY, {}))
    assert set(patch) == {"metadata"}
    assert (patch["metadata"]["uid"], patch["metadata"]["resourceVersion"]) == ("u", "7")


def test_a_restart_is_one_patch_of_record_and_template_that_holds_nothing_made_from_values() -> None:
    patch = restart.patch_restart(workload(), Record(BY, {"db": {"*": "MARK"}}, NOW), ("db", "tls"))
    assert json.loads(patch["metadata"]["annotations"][SEEN])["secrets"] == {"db": {"*": "MARK"}}
    assert patch["metadata"]["resourceVersion"] == "7"
    assert patch["spec"]["template"] == {
        "metadata": {
            "annotations": {
                "restart.inhaul.dev/restarted-at": "2026-08-10T12:00:00.000000Z",
                "restart.inhaul.dev/restarted-for": "db, tls",
            }
        }
    }


@pytest.mark.parametrize(
    ("ago", "period", "expected"),
    [(None, "", 0.0), (100, "", 0.0), (10, "", 20.0), (-60, "", 0.0),
     (10, "5m", 290.0), (400, "5m", 0.0), (10, "soon", 20.0)],
)  # fmt: skip
def test_restarts_of_one_workload_keep_their_distance(ago: float | None, period: str, expected: float) -> None:
    record = Record(BY, {}, None if ago is None else NOW - timedelta(seconds=ago))
    made = annotated(**({"deployment.reloader.stakater.com/pause-period": period} if period else {}))
    assert restart.wait_left(made, record, pause=30, now=NOW) == expected


@pytest.mark.parametrize(
    ("image", "labels", "replicas", "expected"),
    [
        ("ghcr.io/stakater/reloader:v1.4.1", {}, 1, True),
        ("ghcr.io/stakater/reloader:v1.4.1", {}, 0, False),
        ("mirror.example.com/reloader:1", {"group": "com.stakater.platform"}, 1, True),
        ("mirror.example.com/reloader:1", {}, 1, False),
    ],
)
def test_a_running_reloader_is_known_by_its_image_or_label(
    image: str, labels: dict[str, str], replicas: int, expected: bool
) -> None:
    deployment = {
        "metadata": {"name": "r", "labels": labels},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"image": image}]}}},
    }
    assert runs_reloader(deployment) is expected


def test_a_whole_secret_has_one_mark_and_no_name_of_a_key() -> None:
    assert set(mark(secret(user="u", password="p"))) == {WHOLE}
