"""The rules under deploy/aws let through what `controllers.aws.events` acts on, and little else; both forms agree.

CloudFormation is checked by cfn-lint; patterns are matched by moto's EventBridge, which is not ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import hcl2
import pytest
import yaml
from cfnlint.api import lint_file
from moto.events.models import EventPattern
from moto.events.utils import EventMessageType

from controllers.api.resource import Manifest
from controllers.aws import events

ROOT = Path(__file__).parents[3] / "deploy" / "aws"
MODULES = ("secrets-manager", "parameter-store", "ecr")
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:team/db-AbC123"
COMMON = {"id": "e1", "account": "123456789012", "time": "2026-07-01T10:00:00Z", "region": "eu-west-1", "resources": []}


class _Tags(yaml.SafeLoader):
    """CloudFormation's short functions as plain mappings: `!Ref a` is {"Ref": "a"}."""


def _function(loader: _Tags, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {suffix: loader.construct_mapping(node, deep=True)}


_Tags.add_multi_constructor("!", _function)


def template(module: str) -> dict[str, Any]:
    found = yaml.load((ROOT / "cloudformation" / f"{module}.yaml").read_text(), Loader=_Tags)
    assert isinstance(found, dict)
    return found


def by_cloudformation(module: str) -> dict[str, Any]:
    found = template(module)["Resources"]["Rule"]["Properties"]["EventPattern"]
    detail = {key: item for key, item in found["detail"].items() if not (isinstance(item, dict) and "If" in item)}
    return {**found, "detail": detail}


def by_terraform(module: str) -> dict[str, Any]:
    found = hcl2.loads((ROOT / "terraform" / module / "main.tf").read_text())
    local = unquoted(found["locals"][0])
    return {**local["pattern"], "detail": local["detail"]}


def unquoted(value: Any) -> Any:
    """hcl2 keeps the quotes of texts and keys."""
    if isinstance(value, dict):
        return {unquoted(key): unquoted(item) for key, item in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        return [unquoted(item) for item in value]
    return value.strip('"') if isinstance(value, str) else value


def call(name: str, **more: Any) -> dict[str, Any]:
    detail = {"eventSource": "secretsmanager.amazonaws.com", "eventName": name, "awsRegion": "eu-west-1", **more}
    detail.setdefault("requestParameters", {"secretId": "team/db"})
    return {**COMMON, "source": "aws.secretsmanager", "detail-type": "AWS API Call via CloudTrail", "detail": detail}


def rotation() -> dict[str, Any]:
    event = call("RotationSucceeded", requestParameters=None, additionalEventData={"SecretId": ARN})
    return {**event, "detail-type": "AWS Service Event via CloudTrail"}


def parameter(operation: str) -> dict[str, Any]:
    detail = {"operation": operation, "name": "/team/host", "type": "String"}
    return {**COMMON, "source": "aws.ssm", "detail-type": "Parameter Store Change", "detail": detail}


def image(**detail: str) -> dict[str, Any]:
    base = {"result": "SUCCESS", "repository-name": "shop", "action-type": "PUSH", "image-tag": "v1"}
    return {**COMMON, "source": "aws.ecr", "detail-type": "ECR Image Action", "detail": {**base, **detail}}


WANTED = {
    "secrets-manager": [
        *(
            call(name)
            for name in ("PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage", "DeleteSecret", "RestoreSecret")
        ),
        call("CreateSecret", requestParameters={"name": "team/db"}),
        rotation(),
    ],
    "parameter-store": [parameter(each) for each in ("Create", "Update", "Delete", "LabelParameterVersion")],
    "ecr": [image(), image(**{"action-type": "DELETE"})],
}
UNWANTED = {
    "secrets-manager": [
        call("GetSecretValue"),
        call("BatchGetSecretValue"),
        call("DescribeSecret"),
        call("PutSecretValue", errorCode="AccessDenied"),
        parameter("Update"),
        image(),
    ],
    "parameter-store": [
        call("PutSecretValue"),
        {**parameter("Update"), "detail-type": "Parameter Store Policy Action"},
    ],
    "ecr": [image(result="FAILURE"), parameter("Update")],
}


def matches(pattern: EventPattern, event: Manifest) -> bool:
    return bool(pattern.matches_event(cast(EventMessageType, event)))


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("form", [by_cloudformation, by_terraform])
def test_a_rule_lets_through_each_change_that_the_controllers_act_on_and_no_more(module: str, form: Any) -> None:
    pattern = EventPattern.load(json.dumps(form(module)))
    for event in WANTED[module]:
        assert matches(pattern, event), event["detail"]
        assert events.parse(json.dumps(event)) is not None, event["detail"]
    for event in UNWANTED[module]:
        assert not matches(pattern, event), event["detail"]


def test_every_call_that_the_rule_names_is_one_that_the_controllers_understand() -> None:
    for name in by_cloudformation("secrets-manager")["detail"]["eventName"]:
        event = rotation() if name == "RotationSucceeded" else call(name, requestParameters={"secretId": ARN})
        found = events.parse(json.dumps(event))
        assert found is not None and found.action == name


@pytest.mark.parametrize("module", MODULES)
def test_both_forms_have_one_pattern(module: str) -> None:
    assert by_terraform(module) == by_cloudformation(module)


def test_a_filter_by_name_is_part_of_the_pattern_where_it_is_asked_for() -> None:
    name = template("parameter-store")["Resources"]["Rule"]["Properties"]["EventPattern"]["detail"]["name"]
    condition, prefixed, otherwise = name["If"]
    assert (condition, otherwise) == ("Prefixed", {"Ref": "AWS::NoValue"})
    chosen = [{"prefix": "/team/"}] if prefixed == [{"prefix": {"Ref": "NamePrefix"}}] else []
    base = by_cloudformation("parameter-store")
    pattern = EventPattern.load(json.dumps({**base, "detail": {**base["detail"], "name": chosen}}))
    assert matches(pattern, parameter("Update"))
    other = parameter("Update")
    other["detail"]["name"] = "/other/host"
    assert not matches(pattern, other)


@pytest.mark.parametrize("module", MODULES)
def test_the_queue_takes_messages_of_this_clusters_rules_alone_and_redrives(module: str) -> None:
    found = template(module)["Resources"]
    statements = found["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    (allow,) = [each for each in statements if each["Effect"] == "Allow"]
    assert (allow["Principal"], allow["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    assert allow["Resource"] == {"GetAtt": "Queue.Arn"}
    assert allow["Condition"]["ArnLike"]["aws:SourceArn"]["Sub"].endswith(":rule/${Name}-*")
    assert found["Rule"]["Properties"]["Name"]["Sub"].startswith("${Name}-")
    redrive = found["Queue"]["Properties"]["RedrivePolicy"]
    assert (redrive["deadLetterTargetArn"], redrive["maxReceiveCount"]) == ({"GetAtt": "Dropped.Arn"}, 5)


@pytest.mark.parametrize("module", MODULES)
def test_the_controller_may_do_with_the_queue_what_its_consumer_does(module: str) -> None:
    (statement,) = template(module)["Resources"]["Consumer"]["Properties"]["PolicyDocument"]["Statement"]
    done = {"ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes"}
    assert set(statement["Action"]) == {f"sqs:{action}" for action in done}
    assert statement["Resource"] == {"GetAtt": "Queue.Arn"}


def test_the_terraform_queue_is_the_cloudformation_one() -> None:
    found = unquoted(hcl2.loads((ROOT / "terraform" / "queue" / "main.tf").read_text()))
    documents = {name: each for item in found["data"] for _, named in item.items() for name, each in named.items()}
    allow, deny = documents["queue"]["statement"]
    assert (allow["effect"], allow["actions"], deny["effect"]) == ("Allow", ["sqs:SendMessage"], "Deny")
    assert {each["variable"] for each in allow["condition"]} == {"aws:SourceArn", "aws:SourceAccount"}
    properties = template("ecr")["Resources"]["Consumer"]["Properties"]["PolicyDocument"]["Statement"][0]
    assert documents["consumer"]["statement"][0]["actions"] == properties["Action"]


def test_the_templates_differ_in_their_rule_alone() -> None:
    first, *rest = (template(module)["Resources"] for module in MODULES)
    for other in rest:
        for name in ("QueuePolicy", "Consumer"):
            assert other[name] == first[name]
        assert {**other["Queue"]["Properties"], "QueueName": ""} == {**first["Queue"]["Properties"], "QueueName": ""}


def test_cfn_lint_finds_nothing() -> None:
    for module in MODULES:
        assert lint_file(ROOT / "cloudformation" / f"{module}.yaml") == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "terraform").rglob("*.tf")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_terraform_parses_and_its_variables_are_declared(path: Path) -> None:
    assert hcl2.loads(path.read_text())
    declared = unquoted(hcl2.loads((path.parent / "variables.tf").read_text()))["variable"]
    names = {name for item in declared for name in item}
    used = {word.split(".")[1] for word in _words(path.read_text()) if word.startswith("var.")}
    assert used <= names


def _words(text: str) -> list[str]:
    return "".join(each if each.isalnum() or each in "._" else " " for each in text).split()
