"""`inhaul secrets plan` and `render`, and the arithmetic, policies and comparisons behind the commands."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers.api.resource import Key, Manifest
from controllers.cli import main
from controllers.external_secrets.cli_common import read_files
from controllers.external_secrets.cli_plan import Plan, plan_of
from controllers.external_secrets.compare import named_keys, of_objects, of_secrets, of_shapes
from controllers.external_secrets.entries import StoreRef, StoreView
from controllers.external_secrets.explain import ADVICE, explain, version_of
from controllers.external_secrets.forecast import EARLY, MONTH, PER_CALL, Read, Spot, Who, forecast
from controllers.external_secrets.hashing import field_manager
from controllers.external_secrets.iam import parameter_arn, policies, secret_arns
from controllers.external_secrets.offline import read_values
from controllers.external_secrets.params import RemoteKey
from controllers.external_secrets.target import PROVENANCE, Wanted
from controllers.external_secrets.target import manifest as secret_manifest
from controllers.runtime.cli.command import CommandError

ROOT = Path(__file__).parents[3]
ROLE = "arn:aws:iam::111122223333:role/payments"


def store(name: str = "aws", service: str = "SecretsManager", kind: str = "SecretStore", **aws: Any) -> Manifest:
    meta = {"name": name, **({} if kind.startswith("Cluster") else {"namespace": "a"})}
    provider = {"aws": {"service": service, "region": "eu-west-1", **aws}}
    return {"apiVersion": "external-secrets.io/v1", "kind": kind, "metadata": meta, "spec": {"provider": provider}}


def secret(name: str = "db", namespace: str = "a", **spec: Any) -> Manifest:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"secretStoreRef": {"name": "aws"}, "refreshInterval": "1h", **spec},
    }


def data(*keys: str, **remote: Any) -> list[dict[str, Any]]:
    return [{"secretKey": key.rpartition("/")[2], "remoteRef": {"key": key, **remote}} for key in keys]


def files(tmp_path: Path, *manifests: Manifest) -> str:
    path = tmp_path / "manifests.yaml"
    path.write_text(yaml.safe_dump_all(manifests))
    return str(path)


def planned(tmp_path: Path, *manifests: Manifest, **options: Any) -> Plan:
    return plan_of(read_files(files(tmp_path, *manifests)), **options)


# --- the forecast

SPOT = Spot(Who("x"), "eu-west-1", "SecretsManager")
SSM = Spot(Who("x"), "eu-west-1", "ParameterStore")


def reads(spot: Spot, count: int, *, owner: str = "a/db", interval: float = 3600, version: str = "") -> list[Read]:
    return [Read(spot, owner, str(n), interval, RemoteKey(spot.service, f"k{n}", version)) for n in range(count)]


@pytest.mark.parametrize(
    ("asked", "ours", "alone"),
    [
        (reads(SPOT, 1), 1, 1),
        (reads(SPOT, 20), 1, 20),
        (reads(SPOT, 21), 2, 21),
        (reads(SSM, 20), 2, 20),
        (reads(SPOT, 3, version="AWSPREVIOUS"), 3, 3),  # batches know the current version alone
        (
            reads(SPOT, 5, owner="a/x") + reads(SPOT, 5, owner="a/y", version=""),
            2,
            10,
        ),  # the same keys, each for itself
        (reads(SPOT, 1, owner="a/x") + reads(SPOT, 2, owner="a/y")[1:], 1 / 0.6, 2),  # two, seldom due together
        (reads(SPOT, 1) + reads(SPOT, 1), 1, 1),  # one secret, two properties: fetched once by either
        (reads(SSM, 1) + reads(SSM, 1), 1, 2),  # Parameter Store: upstream asks once per entry
    ],
)
def test_a_month_is_counted_in_batches_and_beside_it_key_by_key(asked: list[Read], ours: float, alone: int) -> None:
    (line,) = forecast(asked)
    assert line.calls == pytest.approx(ours * MONTH / 3600 / EARLY)
    assert line.alone == pytest.approx(alone * MONTH / 3600)


def test_identities_regions_and_intervals_share_nothing() -> None:
    other = Spot(Who("y"), "eu-west-1", "SecretsManager")
    far = Spot(Who("x"), "us-east-1", "SecretsManager")
    lines = forecast([*reads(SPOT, 1), *reads(other, 1), *reads(far, 1), *reads(SPOT, 1, interval=60)])
    assert len(lines) == 4 and lines[0].interval == 60


@pytest.mark.parametrize(
    ("spot", "find", "ours", "alone"),
    [
        (SPOT, {"name": {"regexp": "x"}}, 1 + 2, 1 + 40),
        (SPOT, {"tags": {"a": "b"}}, 1 + 2, 1 + 40),
        (SSM, {"path": "/x"}, 4, 4),  # the list is the values
        (SSM, {"tags": {"a": "b"}}, 1 + 4, 1 + 40),
    ],
)
def test_a_find_lists_and_reads_in_batches(spot: Spot, find: dict[str, Any], ours: int, alone: int) -> None:
    (line,) = forecast([Read(spot, "a/db", "spec.dataFrom[0]", 3600, find=find)], matches=40)
    assert (round(line.calls * EARLY * 3600 / MONTH), round(line.alone * 3600 / MONTH)) == (ours, alone)


def test_what_is_refreshed_on_change_alone_costs_nothing_by_the_month() -> None:
    (line,) = forecast(reads(SPOT, 5, interval=0))
    assert (line.calls, line.alone) == (0, 0)


def test_dollars_are_by_call_at_secrets_manager_and_by_parameter_where_those_are_paid() -> None:
    (secrets,), (parameters,) = forecast(reads(SPOT, 20)), forecast(reads(SSM, 20))
    assert secrets.dollars(10_000, 0, parameters_paid=False) == pytest.approx(10_000 * PER_CALL) == pytest.approx(0.05)
    assert parameters.dollars(10_000, 99, parameters_paid=False) == 0
    assert parameters.dollars(1, parameters.values, parameters_paid=True) == pytest.approx(
        20 * MONTH / 3600 / EARLY * PER_CALL
    )


def test_a_plan_reads_stores_prefixes_sweeps_and_cluster_wide_secrets_from_files(tmp_path: Path) -> None:
    swept = store("aws", prefix="pay/")
    swept["metadata"]["annotations"] = {"secrets.inhaul.dev/sweep": "10m"}
    fan_out = {
        "kind": "ClusterExternalSecret",
        "metadata": {"name": "all"},
        "spec": {
            "namespaces": ["a", "b"],
            "externalSecretSpec": secret(secretStoreRef={"kind": "ClusterSecretStore", "name": "c"}, data=data("x"))[
                "spec"
            ],
        },
    }
    made = planned(tmp_path, swept, store("c", kind="ClusterSecretStore"), secret(data=data("one", "two")), fan_out)
    assert made.owners == 3
    refresh = {(line.keys, line.owners) for line in made.forecast.lines if line.what == "refresh"}
    assert refresh == {(3, 3)}  # one identity: the fan-out's key is fetched once, and with the others
    (sweep,) = [line for line in made.forecast.lines if line.what == "sweep"]
    assert sweep.calls == pytest.approx(MONTH / 600)
    resources = [
        resource
        for each in made.policies["the controller's own identity"]["Statement"]
        for resource in each["Resource"]
    ]
    assert "arn:aws:secretsmanager:eu-west-1:*:secret:pay/one-??????" in resources


def test_session_tags_by_namespace_part_what_namespaces_share(tmp_path: Path) -> None:
    ref = {"kind": "ClusterSecretStore", "name": "c"}
    both = [secret(namespace=name, secretStoreRef=ref, data=data("x")) for name in ("a", "b")]
    tagged = store("c", kind="ClusterSecretStore", role=ROLE, sessionTagsPolicy="Simple")
    assert len(planned(tmp_path, *both, tagged).forecast.lines) == 2
    assert len(planned(tmp_path, *both, store("c", kind="ClusterSecretStore", role=ROLE)).forecast.lines) == 1


# --- policies


def statements(made: dict[str, Any]) -> dict[str, list[str]]:
    """Resources by action."""
    return {action: each["Resource"] for each in made["Statement"] for action in each["Action"]}


def test_a_policy_names_each_secret_and_nothing_else() -> None:
    who = Who("b", role=ROLE)
    asked = [
        Read(Spot(who, "eu-west-1", "SecretsManager"), "a/x", "k", 60, RemoteKey("SecretsManager", name, version, tags))
        for name, version, tags in (("one", "", False), ("two", "uuid/1", False), ("three", "", True))
    ]
    found = statements(policies(asked)[ROLE])
    base = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:"
    assert found == {
        "secretsmanager:GetSecretValue": [f"{base}one-??????", f"{base}two-??????"],
        "secretsmanager:DescribeSecret": [f"{base}three-??????"],
    }


def test_batches_and_finds_need_what_iam_cannot_narrow_and_only_then() -> None:
    who = Spot(Who("b", role=ROLE), "eu-west-1", "SecretsManager")
    assert statements(policies(reads(who, 2))[ROLE])["secretsmanager:BatchGetSecretValue"] == ["*"]
    found = policies([Read(who, "a/x", "f", 60, find={"path": "team/", "tags": {"t": "1"}})], kms_keys=["arn:key"])[
        ROLE
    ]
    values = next(each for each in found["Statement"] if each["Action"] == ["secretsmanager:GetSecretValue"])
    assert values["Resource"] == ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/*"]
    assert values["Condition"] == {"StringEquals": {"secretsmanager:ResourceTag/t": "1"}}
    kms = next(each for each in found["Statement"] if each["Action"] == ["kms:Decrypt"])
    assert kms["Condition"] == {"StringEquals": {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"}}
    assert statements(found)["secretsmanager:ListSecrets"] == ["*"]


@pytest.mark.parametrize(
    ("expression", "beginning"),
    [("^team/db", "team/db"), ("^team/db?", "team/d"), ("^a|b", ""), ("team", ""), ("^team[0-9]", "team"), ("", "")],
)
def test_a_finds_resource_is_as_narrow_as_its_regular_expression_proves(expression: str, beginning: str) -> None:
    who = Spot(Who("b", role=ROLE), "eu-west-1", "SecretsManager")
    found = statements(policies([Read(who, "a/x", "f", 60, find={"name": {"regexp": expression}})])[ROLE])
    assert found["secretsmanager:GetSecretValue"] == [
        f"arn:aws:secretsmanager:eu-west-1:111122223333:secret:{beginning}*"
    ]


def test_parameters_paths_and_partitions_become_arns() -> None:
    assert parameter_arn("/a/b", "cn-north-1", "1") == "arn:aws-cn:ssm:cn-north-1:1:parameter/a/b"
    assert parameter_arn("flat", "us-gov-west-1", "1") == "arn:aws-us-gov:ssm:us-gov-west-1:1:parameter/flat"
    assert secret_arns("arn:aws:secretsmanager:x:1:secret:a-AbCdEf", "x", "1") == [
        "arn:aws:secretsmanager:x:1:secret:a-AbCdEf"
    ]
    assert secret_arns("a*b", "eu-west-1", "1") == ["arn:aws:secretsmanager:eu-west-1:1:secret:a${*}b-??????"]
    who = Spot(Who("b", role=ROLE), "eu-west-1", "ParameterStore")
    found = statements(policies([Read(who, "a/x", "f", 60, find={"path": "/team"})])[ROLE])
    base = "arn:aws:ssm:eu-west-1:111122223333:parameter/team"
    assert found == {"ssm:GetParametersByPath": [base, f"{base}/*"]}


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (Who("own", role="r2", chain=("r1",)), {"own": ["r1"], "r1": ["r2"]}),
        (Who("ServiceAccount a/x", role="r2", chain=("r1",), federated=True), {"r1": ["r2"]}),
        (Who("ServiceAccount a/x", role="r1", federated=True), {}),
        (Who("ServiceAccount a/x", role="r1"), {"ServiceAccount a/x": ["r1"]}),
    ],
)
def test_each_role_may_assume_the_next(who: Who, expected: dict[str, list[str]]) -> None:
    made = policies(reads(Spot(who, "eu-west-1", "SecretsManager"), 1))
    found = {name: statements(policy).get("sts:AssumeRole") for name, policy in made.items()}
    assert {name: roles for name, roles in found.items() if roles} == expected


# --- files and commands


def test_what_cannot_be_planned_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = {
        "found no ExternalSecret": [store()],
        "SecretStore aws": [secret(data=data("x"))],
        "refreshInterval": [store(), secret(data=data("x"), refreshInterval="soon")],
        "either data or dataFrom": [store(), secret()],
        "provider vault is not served": [
            {**store(), "spec": {"provider": {"vault": {"server": "x"}}}},
            secret(data=data("x")),
        ],
    }
    for message, manifests in bad.items():
        assert main(["secrets", "plan", "-f", files(tmp_path, *manifests)]) == 2, message
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1
    assert main(["secrets", "plan", "-f", str(tmp_path / "absent")]) == 2


def test_files_that_are_no_manifests_or_unfold_without_end_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "text.yaml").write_text("just text\n---\n- 1\n---\nkind: 5\n")
    (tmp_path / "good.yaml").write_text(yaml.safe_dump(secret(data=data("x"))))
    assert len(read_files(str(tmp_path)).objects) == 1
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))
    for bomb in (f"a0: &a0 [x]\n{levels}\n", "a: &a [*a]\n", "[" * 100_000):
        (tmp_path / "bomb.yaml").write_text(bomb)
        with pytest.raises(CommandError, match=r"bomb\.yaml"):
            read_files(str(tmp_path / "bomb.yaml"))


def test_plan_prints_tables_json_and_policies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = files(tmp_path, store(role=ROLE), secret(data=data("one", "two")))
    assert main(["secrets", "plan", "-f", path, "-o", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["externalSecrets"], said["callsPerMonth"], said["oneCallPerKey"]) == (1, 768, 1460)
    assert main(["secrets", "plan", "-f", path, "--iam", "--account", "999999999999"]) == 0
    assert "999999999999:secret:one-??????" in json.dumps(json.loads(capsys.readouterr().out)[ROLE])
    assert main(["secrets", "plan", "-f", path]) == 0
    assert "IAM policy of " + ROLE in capsys.readouterr().out


VALUES = """
db: {user: app, password: "p@ss", big: 12345678901234567890}
db (AWSPREVIOUS): {password: old}
pay/flag: on
pay/version: 1.10
---
pay/flag: {team: "1"}
"""


def test_render_shows_what_the_controller_would_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "values.yaml").write_text(VALUES)
    template = {
        "type": "kubernetes.io/basic-auth",
        "data": {"url": "x://{{ .user }}:{{ .password }}"},
        "templateFrom": [{"secret": {"name": "extra", "items": [{"key": "t"}]}}],
    }
    extra = {
        "kind": "Secret",
        "metadata": {"name": "extra", "namespace": "a"},
        "stringData": {"t": "{{ .user | upper }}"},
    }
    one = secret(
        data=[
            *data("db", property="user"),
            {"secretKey": "password", "remoteRef": {"key": "db", "property": "password"}},
        ],
        target={"template": template},
    )
    one["spec"]["data"][0]["secretKey"] = "user"
    two = secret("flags", dataFrom=[{"find": {"name": {"regexp": "^pay/"}, "tags": {"team": "1"}}}], data=[
        {"secretKey": "v", "remoteRef": {"key": "pay/version"}},
        {"secretKey": "old", "remoteRef": {"key": "db", "version": "AWSPREVIOUS", "property": "password"}},
        {"secretKey": "big", "remoteRef": {"key": "db", "property": "big"}},
    ])  # fmt: skip
    path = files(tmp_path, store(), one, two, extra)
    assert main(["secrets", "render", "-f", path, "--with", str(tmp_path / "values.yaml")]) == 0
    found = {each["metadata"]["name"]: each for each in yaml.safe_load_all(capsys.readouterr().out)}
    assert found["db"]["stringData"] == {"url": "x://app:p@ss", "t": "APP"}
    assert found["db"]["type"] == "kubernetes.io/basic-auth"
    assert found["flags"]["stringData"] == {"pay_flag": "on", "v": "1.10", "old": "old", "big": "12345678901234567890"}


def test_render_names_what_is_missing_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "values.yaml").write_text(VALUES)
    generator = {"apiVersion": "generators.external-secrets.io/v1alpha1", "kind": "Password", "name": "x"}
    generated = secret("generated", dataFrom=[{"sourceRef": {"generatorRef": generator}}])
    path = files(tmp_path, store(), secret(data=data("absent")), generated)
    assert main(["secrets", "render", "-f", path, "--with", str(tmp_path / "values.yaml")]) == 1
    said = capsys.readouterr().err
    assert "a/db: absent: NotFound: key absent: not in the values file" in said
    assert "a/generated: spec.dataFrom[0]: Unsupported" in said


def test_a_values_file_is_read_as_it_is_written() -> None:
    made = read_values("v", VALUES)
    assert (made.values["pay/flag"], made.values["pay/version"]) == (b"on", b"1.10")
    assert json.loads(made.values["db"])["big"] == 12345678901234567890
    assert "p@ss" not in repr(made)
    for bad in ("- 1", "a: 1\n---\nb: c", "a: 1\n---\n{}\n---\n{}"):
        with pytest.raises(CommandError):
            read_values("v", bad)


# --- explain

NOW = datetime(2026, 8, 10, 12, 0, tzinfo=UTC)
VIEWS = {StoreRef("SecretStore", "aws"): StoreView(StoreRef("SecretStore", "aws"), "SecretsManager")}


def live(ready: str = "True", message: str = "secret synced", ago: float = 600, **spec: Any) -> Manifest:
    made = secret(data=data("shop/db"), **spec)
    made["metadata"] |= {"uid": "u", "generation": 1}
    reason = "SecretSynced" if ready == "True" else "SecretSyncedError"
    made["status"] = {
        "refreshTime": (NOW - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "syncedResourceVersion": version_of(made),
        "conditions": [{"type": "Ready", "status": ready, "reason": reason, "message": message}],
    }
    return made


def target(provenance: dict[str, Any] | str) -> Manifest:
    owner = {"apiVersion": "x", "kind": "ExternalSecret", "name": "db", "uid": "u", "controller": True}
    text = provenance if isinstance(provenance, str) else json.dumps(provenance)
    made = secret_manifest(Wanted("a", "db", "Opaque", {"db": b"v"}, {"reconcile.external-secrets.io/managed": "true"},
                                  {PROVENANCE: text}, owner))  # fmt: skip
    entry = {"manager": field_manager("db"), "fieldsV1": {
        "f:data": {"f:db": {}},
        "f:metadata": {"f:labels": {f"f:{key}": {} for key in made["metadata"]["labels"]},
                       "f:annotations": {f"f:{key}": {} for key in made["metadata"]["annotations"]}},
    }}  # fmt: skip
    made["metadata"] |= {"uid": "s", "resourceVersion": "5", "managedFields": [entry]}
    del made["data"]
    return made


SOURCE = {"arn": "arn:aws:secretsmanager:eu-west-1:1:secret:shop/db-AbCdEf", "version": "v1", "stage": "AWSCURRENT"}


def test_explain_says_what_each_key_was_made_of_and_when_next() -> None:
    found = explain(live(), VIEWS, target({"db": SOURCE}), now=NOW)
    assert found.well and found.target_state == "as it was written"
    assert found.keys[0].made == ({"key": "db", **SOURCE},)
    assert not found.due.now and found.next is not None
    assert timedelta(minutes=43) < found.next - NOW <= timedelta(minutes=50)


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("db: AccessDenied: not authorized for key shop/db (and 2 more)", "AccessDenied"),
        ("spec.dataFrom[0]: PropertyMissing: key x does not exist", "PropertyMissing"),
        ("could not render the target: template x", ""),
        ("SecretStore aws is not ready: Nonsense: x", ""),
    ],
)
def test_explain_knows_the_cause_by_its_class(message: str, cause: str) -> None:
    found = explain(live("False", message), VIEWS, None, now=NOW)
    assert (found.well, found.cause, found.message) == (False, cause, message)
    assert found.advice == ADVICE.get(cause, "")
    assert (found.target_state, found.due.now) == ("does not exist", True)


def test_a_touched_target_and_a_broken_provenance_are_told() -> None:
    touched = target({"db": SOURCE})
    touched["metadata"]["managedFields"].append({"manager": "kubectl", "fieldsV1": {"f:data": {"f:db": {}}}})
    found = explain(live(), VIEWS, touched, now=NOW)
    assert "changed" in found.target_state and found.due.now
    for broken in ("{", "[]", '{"db": 5}', "[" * 10_000):
        assert explain(live(), VIEWS, target(broken), now=NOW).keys[0].made == ()


def test_keys_of_extracts_and_finds_are_told_apart_by_where_they_came_from() -> None:
    other = {"arn": "arn:aws:secretsmanager:eu-west-1:1:secret:pay/x-AbCdEf", "version": "v2"}
    manifest = live(dataFrom=[{"find": {"name": {"regexp": "^pay/"}}}, {"extract": {"key": "shop/db"}}])
    made = target({"db": SOURCE, "user": SOURCE, "pay_x": other})
    found = explain(manifest, VIEWS, made, now=NOW)
    by_entry = {key.entry: [each["key"] for each in key.made] for key in found.keys}
    assert by_entry["db"] == ["db"] and by_entry["spec.dataFrom[1]"] == ["user"]
    assert by_entry["spec.dataFrom[0]"] == ["pay_x"]


# --- diff


def test_pointers_are_compared_field_by_field() -> None:
    new = secret(data=data("shop/db", "shop/new"), refreshInterval="5m")
    new["metadata"]["labels"] = {"x": "1"}
    said = [str(each) for each in of_objects(live(), new)]
    assert "ExternalSecret spec.refreshInterval: 1h -> 5m" in said
    assert any(line.startswith("ExternalSecret spec.data[1]: (absent) ->") for line in said)
    assert "ExternalSecret metadata.labels.x: (absent) -> 1" in said


def test_secrets_are_compared_without_a_value() -> None:
    before = {"metadata": {"labels": {"a": "1"}}, "type": "Opaque"}
    wanted = Wanted(
        "a", "db", "kubernetes.io/tls", {"same": b"1", "new": b"CANARY", "other": b"CANARY"}, {"a": "CANARY"}
    )
    said = [str(each) for each in of_secrets(secret(), before, wanted, {"same": b"1", "other": b"x", "old": b"y"})]
    assert said == [
        "Secret db data.new: would be added",
        "Secret db data.old: would be removed",
        "Secret db data.other: would change",
        "Secret db type: Opaque -> kubernetes.io/tls (deleted and made anew)",
        "Secret db metadata.labels.a: would change",
    ]
    assert not of_secrets(secret(), before, Wanted("a", "db", "Opaque", {"k": b"1"}), {"k": b"1"})
    merge = secret(target={"creationPolicy": "Merge"})
    assert not of_secrets(merge, before, Wanted("a", "db", "Opaque", {"k": b"1"}), {"k": b"1", "theirs": b"2"})


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"data": data("x")}, ({"x"}, True)),
        ({"data": data("x"), "dataFrom": [{"extract": {"key": "y"}}]}, ({"x"}, False)),
        ({"data": data("x"), "target": {"template": {"data": {"u": "t"}}}}, ({"u"}, True)),
        ({"data": data("x"), "target": {"template": {"data": {"u": "t"}, "mergePolicy": "Merge"}}}, ({"x", "u"}, True)),
        ({"data": data("x"), "target": {"template": {"templateFrom": [{"literal": "a"}]}}}, (set(), False)),
        ({"dataFrom": [{"extract": {"key": "y"}}], "target": {"template": {"data": {"u": "t"}}}}, ({"u"}, True)),
    ],
)
def test_without_values_the_names_of_keys_are_compared_where_the_spec_says_them(
    spec: dict[str, Any], expected: tuple[set[str], bool]
) -> None:
    assert named_keys(spec) == expected


def test_a_difference_in_names_needs_no_value() -> None:
    before = {"metadata": {}, "type": "Opaque", "data": {"x": "", "old": ""}}
    said = of_shapes(secret(data=data("x", "y")), before)
    assert [str(each) for each in said if each.real] == [
        "Secret db data.y: would be added",
        "Secret db data.old: would be removed",
    ]
    assert [each.text for each in of_shapes(secret(data=data("x")), None)] == ["would be created"]


def test_a_name_of_a_service_account_is_where_its_role_is_found(tmp_path: Path) -> None:
    account = {
        "kind": "ServiceAccount",
        "metadata": {"name": "sa", "namespace": "a", "annotations": {"eks.amazonaws.com/role-arn": ROLE}},
    }
    jwt = {"auth": {"jwt": {"serviceAccountRef": {"name": "sa"}}}}
    assert set(planned(tmp_path, store(**jwt), account, secret(data=data("x"))).policies) == {ROLE}
    assert set(planned(tmp_path, store(**jwt), secret(data=data("x"))).policies) == {"ServiceAccount a/sa"}
    assert Key("a", "sa") not in planned(tmp_path, store(), secret(data=data("x"))).policies


def _shown_in_docs() -> list[tuple[str, str]]:
    """(command, its output) of the offline commands in docs/cli.md."""
    text = (ROOT / "docs" / "cli.md").read_text()
    blocks = [block.split("\n```", 1)[0] for block in text.split("```\n$ ")[1:]]
    pairs = [block.split("\n", 1) for block in blocks]
    return [
        (command, output)
        for command, output in pairs
        if command.startswith(("inhaul secrets plan", "inhaul secrets render"))
    ]


@pytest.mark.parametrize(("command", "output"), _shown_in_docs())
def test_the_commands_of_the_documents_say_what_the_documents_show(
    command: str, output: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(command.split()[1:]) == 0
    assert capsys.readouterr().out.strip() == output.strip()


def test_the_documents_show_both_offline_commands() -> None:
    assert [command.split()[2] for command, _ in _shown_in_docs()] == ["plan", "render"]
