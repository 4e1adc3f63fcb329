"""`inhaul secrets plan`: what files would ask of AWS, what that costs, and which policies it takes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers.cli import main
from controllers.external_secrets.cli.common import read_files
from controllers.external_secrets.cli.forecast import EARLY, MONTH, forecast
from controllers.external_secrets.cli.iam import policies
from controllers.external_secrets.providers.parameter_store.policy import parameter_arn
from controllers.external_secrets.providers.reads import PlannedRead, PlannedSource, ReadingIdentity
from controllers.external_secrets.providers.secrets_manager.policy import secret_arns
from controllers.external_secrets.providers.secrets_manager.provider import PER_CALL
from controllers.external_secrets.values.remote_key import RemoteKey
from controllers.runtime.cli.command import CommandError

from .manifests import ROLE, data, files, planned, secret, store

# --- the forecast

SPOT = PlannedSource(ReadingIdentity("x"), "eu-west-1", "SecretsManager")
SSM = PlannedSource(ReadingIdentity("x"), "eu-west-1", "ParameterStore")


def reads(
    spot: PlannedSource, count: int, *, owner: str = "a/db", interval: float = 3600, version: str = ""
) -> list[PlannedRead]:
    return [PlannedRead(spot, owner, str(n), interval, RemoteKey(spot.service, f"k{n}", version)) for n in range(count)]


@pytest.mark.parametrize(
    ("asked", "ours", "alone"),
    [
        (reads(SPOT, 1), 1, 1),
        (reads(SPOT, 20), 1, 20),
        (reads(SPOT, 21), 2, 21),
        (reads(SSM, 20), 2, 20),
        (reads(SPOT, 3, version="AWSPREVIOUS"), 3, 3),  # batches know the current version alone
        (reads(SPOT, 5, owner="a/x") + reads(SPOT, 5, owner="a/y"), 1 / 0.55, 10),  # the same keys, seldom due together
        (reads(SPOT, 1, owner="a/x", version="v1") + reads(SPOT, 1, owner="a/y", version="v1"), 1 / 0.55, 2),
        ([each for n in range(18) for each in reads(SPOT, 40, owner=f"a/{n}")], math.ceil(40 / 0.15 / 20), 720),
        (reads(SPOT, 1, owner="a/x") + reads(SPOT, 2, owner="a/y")[1:], 1 / 0.55, 2),  # two, seldom due together
        (reads(SPOT, 1) + reads(SPOT, 1), 1, 1),  # one secret, two properties: fetched once by either
        (reads(SSM, 1) + reads(SSM, 1), 1, 2),  # Parameter Store: upstream asks once per entry
    ],
)
def test_a_month_is_counted_in_batches_and_beside_it_key_by_key(
    asked: list[PlannedRead], ours: float, alone: int
) -> None:
    (line,) = forecast(asked)
    assert line.calls == pytest.approx(ours * MONTH / 3600 / EARLY)
    assert line.alone == pytest.approx(alone * MONTH / 3600)


def test_identities_regions_and_intervals_share_nothing() -> None:
    other = PlannedSource(ReadingIdentity("y"), "eu-west-1", "SecretsManager")
    far = PlannedSource(ReadingIdentity("x"), "us-east-1", "SecretsManager")
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
def test_a_find_lists_and_reads_in_batches(spot: PlannedSource, find: dict[str, Any], ours: int, alone: int) -> None:
    (line,) = forecast([PlannedRead(spot, "a/db", "spec.dataFrom[0]", 3600, find=find)], matches=40)
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
    who = ReadingIdentity("b", role=ROLE)
    asked = [
        PlannedRead(
            PlannedSource(who, "eu-west-1", "SecretsManager"),
            "a/x",
            "k",
            60,
            RemoteKey("SecretsManager", name, version, tags),
        )
        for name, version, tags in (("one", "", False), ("two", "uuid/1", False), ("three", "", True))
    ]
    found = statements(policies(asked)[ROLE])
    base = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:"
    assert found == {
        "secretsmanager:GetSecretValue": [f"{base}one-??????", f"{base}two-??????"],
        "secretsmanager:DescribeSecret": [f"{base}three-??????"],
    }


def test_batches_and_finds_need_what_iam_cannot_narrow_and_only_then() -> None:
    who = PlannedSource(ReadingIdentity("b", role=ROLE), "eu-west-1", "SecretsManager")
    assert statements(policies(reads(who, 2))[ROLE])["secretsmanager:BatchGetSecretValue"] == ["*"]
    found = policies(
        [PlannedRead(who, "a/x", "f", 60, find={"path": "team/", "tags": {"t": "1"}})], kms_keys=["arn:key"]
    )[ROLE]
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
    who = PlannedSource(ReadingIdentity("b", role=ROLE), "eu-west-1", "SecretsManager")
    found = statements(policies([PlannedRead(who, "a/x", "f", 60, find={"name": {"regexp": expression}})])[ROLE])
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
    who = PlannedSource(ReadingIdentity("b", role=ROLE), "eu-west-1", "ParameterStore")
    found = statements(policies([PlannedRead(who, "a/x", "f", 60, find={"path": "/team"})])[ROLE])
    base = "arn:aws:ssm:eu-west-1:111122223333:parameter/team"
    assert found == {"ssm:GetParametersByPath": [base, f"{base}/*"]}


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (ReadingIdentity("own", role="r2", chain=("r1",)), {"own": ["r1"], "r1": ["r2"]}),
        (ReadingIdentity("ServiceAccount a/x", role="r2", chain=("r1",), federated=True), {"r1": ["r2"]}),
        (ReadingIdentity("ServiceAccount a/x", role="r1", federated=True), {}),
        (ReadingIdentity("ServiceAccount a/x", role="r1"), {"ServiceAccount a/x": ["r1"]}),
    ],
)
def test_each_role_may_assume_the_next(who: ReadingIdentity, expected: dict[str, list[str]]) -> None:
    made = policies(reads(PlannedSource(who, "eu-west-1", "SecretsManager"), 1))
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


def test_a_name_of_a_service_account_is_where_its_role_is_found(tmp_path: Path) -> None:
    account = {
        "kind": "ServiceAccount",
        "metadata": {"name": "sa", "namespace": "a", "annotations": {"eks.amazonaws.com/role-arn": ROLE}},
    }
    jwt: dict[str, Any] = {"auth": {"jwt": {"serviceAccountRef": {"name": "sa"}}}}
    assert set(planned(tmp_path, store(**jwt), account, secret(data=data("x"))).policies) == {ROLE}
    assert set(planned(tmp_path, store(**jwt), secret(data=data("x"))).policies) == {"ServiceAccount a/sa"}
    assert "ServiceAccount a/sa" not in planned(tmp_path, store(), secret(data=data("x"))).policies


@pytest.mark.parametrize(
    ("service", "action"),
    [("SecretsManager", "secretsmanager:ListSecrets"), ("ParameterStore", "ssm:DescribeParameters")],
)
def test_the_policy_of_a_swept_store_lets_it_list_and_only_then(tmp_path: Path, service: str, action: str) -> None:
    calm = store(service=service, role=ROLE)
    swept = {**calm, "metadata": {**calm["metadata"], "annotations": {"secrets.inhaul.dev/sweep": "10m"}}}
    assert action in json.dumps(planned(tmp_path, swept, secret(data=data("one"))).policies)
    assert action not in json.dumps(planned(tmp_path, calm, secret(data=data("one"))).policies)
