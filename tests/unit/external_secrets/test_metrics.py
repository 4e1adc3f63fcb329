"""What is measured: staleness from the objects themselves, calls by identity with a bound on how many there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from controllers.aws.identity import OWN, Identity, RoleStep, ServiceAccountIdentity, StaticKeys
from controllers.external_secrets.metrics import Meters, freshness, identity_label
from controllers.runtime.metrics import Metrics
from controllers.runtime.sensitive import Sensitive

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)


def secret(ago: float | None, *, interval: str = "1h", policy: str = "Periodic") -> dict[str, Any]:
    status = {} if ago is None else {"refreshTime": (NOW - timedelta(seconds=ago)).isoformat()}
    return {
        "metadata": {"uid": "u", "name": "x"},
        "spec": {"refreshInterval": interval, "refreshPolicy": policy},
        "status": status,
    }


def role(number: int) -> str:
    return f"arn:aws:iam::123456789012:role/r{number}"


def test_staleness_overdue_and_the_next_refresh_are_known_from_the_objects() -> None:
    found = freshness([secret(10), secret(100), secret(7200), secret(None), secret(9999, policy="OnChange")], NOW)
    assert found.age(1.0) == 9999
    assert found.age(0.0) == 10
    assert (found.overdue, found.never, found.next_due) == (1, 1, 0.0)
    later = freshness([secret(10)], NOW).next_due
    assert later is not None and 3600 * 0.9 - 10 <= later <= 3600 - 10


def test_nothing_and_broken_objects_are_no_failure() -> None:
    assert freshness([], NOW).age(0.5) == 0
    found = freshness([{"metadata": {}, "status": {"refreshTime": "soon"}}, secret(5, interval="often")], NOW)
    assert (found.never, found.next_due, found.age(1.0)) == (1, None, 5)


def test_an_identity_is_named_by_the_role_that_calls() -> None:
    account = ServiceAccountIdentity("ns", "sa", role(1))
    assert identity_label(Identity(service_account=account)) == "123456789012:role/r1"
    assert identity_label(Identity(service_account=account, chain=(RoleStep(role(2)),))) == "123456789012:role/r2"
    assert identity_label(OWN) == "own"
    assert identity_label(Identity(static=StaticKeys(Sensitive("AKIA"), Sensitive("s")))) == "static"


def test_calls_are_counted_by_api_and_identity_and_identities_are_bounded() -> None:
    metrics = Metrics()
    meters = Meters(metrics)
    for number in range(300):
        meters.called(Identity(chain=(RoleStep(role(number)),)), "ssm:GetParameters", "ok")
    meters.called(Identity(chain=(RoleStep(role(0)),)), "ssm:GetParameters", "Throttled")
    text = metrics.render().decode()
    lines = [line for line in text.splitlines() if line.startswith("inhaul_external_secret_aws_calls_total{")]
    assert len(lines) == 102
    assert 'inhaul_external_secret_aws_calls_total{api="ssm:GetParameters",identity="other",result="ok"} 200.0' in lines
    assert any("r0" in line and "Throttled" in line and line.endswith(" 1.0") for line in lines)


def test_staleness_is_scraped() -> None:
    metrics = Metrics()
    Meters(metrics).fresh(lambda: [secret(10)])
    text = metrics.render().decode()
    assert 'inhaul_external_secret_staleness_seconds{quantile="1"}' in text
    assert "inhaul_external_secret_next_refresh_seconds" in text
