"""Hosts, names, versions and other texts that decide where a credential goes or whose value is whose."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from controllers.aws.ecr import EcrImage, EcrRegistry, parse_host, tags_of
from controllers.aws.identity import session_name
from controllers.aws.secretsmanager import SecretValue, assign
from controllers.aws.settings import AwsSettings
from controllers.aws.sqs import backoff, has_redrive, hold, region_of
from controllers.runtime.sensitive import Sensitive

ACCOUNT = "123456789012"


@pytest.mark.parametrize(
    ("host", "region", "fips"),
    [
        (f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", False),
        (f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1", False),
        (f"{ACCOUNT}.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", True),
        (f"{ACCOUNT}.dkr-ecr.us-east-1.on.aws", "us-east-1", False),
        (f"{ACCOUNT}.dkr-ecr-fips.us-east-1.on.aws", "us-east-1", True),
        (f"{ACCOUNT}.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn", "cn-northwest-1", False),
        (f"{ACCOUNT}.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1", False),
        (f"{ACCOUNT}.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", False),
    ],
)
def test_private_registries_are_known_by_their_host(host: str, region: str, fips: bool) -> None:
    assert parse_host(host) == EcrRegistry(host, ACCOUNT, region, fips=fips)


def test_the_public_registry_is_asked_in_us_east_1() -> None:
    assert parse_host("public.ecr.aws") == EcrRegistry("public.ecr.aws", "", "us-east-1", public=True)


@pytest.mark.parametrize(
    "host",
    [
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com.evil.com",
        f"evil.com/{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com",
        f"x{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com\n",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonawsXcom",
        f"{ACCOUNT}.dkr.ecr.evil.com#.amazonaws.com",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.on.aws",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com:443",
        "12345678901٢.dkr.ecr.eu-west-1.amazonaws.com",
        "evil.public.ecr.aws",
        "ghcr.io",
        "",
    ],
)
def test_no_other_host_gets_an_ecr_token(host: str) -> None:
    assert parse_host(host) is None


def test_tags_point_to_their_image() -> None:
    time = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    one, two = EcrImage("sha256:1", ("a", "b"), time), EcrImage("sha256:2", (), time)
    assert tags_of([one, two]) == {"a": one, "b": one}


@pytest.mark.parametrize(
    ("asked", "is_it"),
    [
        ("a/b", True),
        ("arn:aws:secretsmanager:r:1:secret:a/b-AbCdEf", True),
        ("arn:aws:secretsmanager:r:1:secret:a/b", True),
        ("arn:aws:secretsmanager:r:1:secret:a", False),
        ("a", False),
        ("b", False),
    ],
)
def test_a_batch_value_belongs_to_the_key_that_names_it(asked: str, is_it: bool) -> None:
    arn = "arn:aws:secretsmanager:r:1:secret:a/b-AbCdEf"
    value = SecretValue("a/b", arn, "v", ("AWSCURRENT",), Sensitive("x"))
    values, errors, unmatched = assign([asked], [value], [])
    assert (values.get(asked) is value, unmatched == [asked]) == (is_it, not is_it)
    assert not errors


def test_session_names_hold_only_what_sts_takes() -> None:
    assert session_name("inhaul", "ns", "a:b/c") == "inhaul-ns-a-b-c"
    assert len(session_name("x" * 100)) == 64


def test_tries_at_a_failing_queue_are_spaced_and_bounded() -> None:
    assert [backoff(n, 1) for n in (1, 2, 3, 100)] == [1, 2, 4, 60]
    assert backoff(3, 0) == 2
    assert [hold(n) for n in (1, 2, 3, 100)] == [5, 10, 20, 900]


def test_the_queues_own_facts_are_read() -> None:
    assert region_of("https://sqs.eu-west-1.amazonaws.com/1/q") == "eu-west-1"
    assert region_of("https://sqs.us-gov-west-1.amazonaws.com/1/q") == "us-gov-west-1"
    assert region_of("http://127.0.0.1:5000/1/q") == ""
    assert has_redrive({"RedrivePolicy": json.dumps({"deadLetterTargetArn": "arn", "maxReceiveCount": 3})})
    assert not has_redrive({}) and not has_redrive({"RedrivePolicy": "x"}) and not has_redrive({"RedrivePolicy": "[]"})


def test_endpoints_come_from_settings_then_from_upstreams_variables() -> None:
    environ = {"AWS_SSM_ENDPOINT": "http://ssm"}
    assert AwsSettings().endpoint_for("ssm", environ) == "http://ssm"
    assert AwsSettings().endpoint_for("kms", environ) is None
    assert AwsSettings(endpoint="http://all").endpoint_for("ssm", environ) == "http://all"
