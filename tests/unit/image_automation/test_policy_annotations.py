"""Annotations beyond upstream: values in, values out."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from types import SimpleNamespace as Spec

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from controllers.image_automation.policy.annotations import (
    PolicyAnnotations,
    candidates,
    is_downgrade,
    policy_annotations_of,
)
from controllers.image_automation.policy.cosign import InvalidKeyError, covers, load_key, signatures
from controllers.image_automation.policy.policy import NoTagSelectedError, Policy, compile_policy
from controllers.image_automation.tags.reference import InvalidPolicyError
from controllers.image_automation.tags.store import TagStore, pack

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
AT = int(NOW.timestamp())


def policy(**choice: str) -> Policy:
    kinds = {"semver": None, "alphabetical": None, "numerical": None}
    given = {name: Spec(range=text) if name == "semver" else Spec(order=text) for name, text in choice.items()}
    return compile_policy(Spec(**{**kinds, **given}))


def test_the_newest_push_wins_and_equal_times_fall_back_to_the_policys_order() -> None:
    times = {"1.0.0": AT - 10, "1.1.0": AT - 20, "1.2.0": AT - 10}
    found = candidates(policy(semver="*"), list(times), PolicyAnnotations(newest=True), times=times, now=NOW)
    assert found.tags == ("1.2.0", "1.0.0", "1.1.0")
    with pytest.raises(NoTagSelectedError, match="push times"):
        candidates(policy(semver="*"), list(times), PolicyAnnotations(newest=True), times={}, now=NOW)


def test_a_tag_ripens_by_its_push_or_else_by_its_first_sight_which_is_remembered() -> None:
    extras = PolicyAnnotations(min_age=3600)
    found = candidates(policy(semver="*"), ["1.0.0", "1.1.0"], extras, times={"1.0.0": AT - 4000, "1.1.0": AT - 600},
                       now=NOW)  # fmt: skip
    assert found.tags == ("1.0.0",) and found.ripe_in == 3000 and not found.first_seen
    first = candidates(policy(semver="*"), ["1.0.0"], extras, times={}, now=NOW)
    assert first.tags == () and first.first_seen == {"1.0.0": AT}
    later = datetime.fromtimestamp(AT + 3600, UTC)
    seen = PolicyAnnotations(min_age=3600, first_seen=first.first_seen)
    second = candidates(policy(semver="*"), ["1.0.0", "1.1.0"], seen, times={}, now=later)
    assert second.tags == ("1.0.0",) and second.first_seen == {"1.0.0": AT, "1.1.0": AT + 3600}


@pytest.mark.parametrize(
    ("choice", "present", "wanted", "down"),
    [
        ({"semver": ">=1"}, "1.2.0", "1.1.0", True),
        ({"semver": ">=1"}, "1.1.0", "1.2.0", False),
        ({"semver": "~1.1"}, "1.2.0", "1.1.0", False),  # the user asked for another line
        ({"alphabetical": "desc"}, "a", "b", True),
        ({"alphabetical": "asc"}, "a", "b", False),
        ({"numerical": "asc"}, "20250101000000000001", "20250101000000000000", True),
    ],
)
def test_a_downgrade_is_what_the_policys_own_order_calls_one(
    choice: dict[str, str], present: str, wanted: str, down: bool
) -> None:
    assert is_downgrade(policy(**choice), PolicyAnnotations(), present=present, wanted=wanted, times={}) is down


def test_a_thousand_evaluations_of_shuffled_lists_with_ties_and_long_numbers_give_one_pick() -> None:
    filter_tags = Spec(pattern=r"^(?:main|dev)-[0-9a-f]+-(?P<ts>\d+)$", extract="$ts")
    numerical = compile_policy(Spec(semver=None, alphabetical=None, numerical=Spec(order="asc")), filter_tags)
    tags = [f"{branch}-{number:x}-{10**19 + number // 3}" for number in range(60) for branch in ("main", "dev")]
    semver = policy(semver="*")
    versions = [f"{prefix}1.{n % 7}.0{meta}" for n in range(20) for prefix in ("", "v") for meta in ("", "+a", "+b")]
    generator = random.Random(5)
    picks = set()
    for _ in range(1000):
        generator.shuffle(tags)
        generator.shuffle(versions)
        picks.add((numerical.pick(tags), semver.pick(versions)))
    assert len(picks) == 1


def test_bad_annotations_are_named() -> None:
    for name, text in (("min-age", "-1h"), ("platform", "linux"), ("track-tag", "a b"), ("unknown", "x")):
        with pytest.raises(InvalidPolicyError, match=f"image.inhaul.dev/{name}"):
            policy_annotations_of({f"image.inhaul.dev/{name}": text})
    hostile = {"image.inhaul.dev/first-seen": "[" * 100_000, "image.inhaul.dev/picked": "null"}
    assert policy_annotations_of({**hostile, "other.dev/x": "y"}) == PolicyAnnotations()


def test_only_p256_keys_are_taken_and_only_payloads_of_this_digest_count() -> None:
    def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
        return key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    load_key(pem(ec.generate_private_key(ec.SECP256R1())))
    for other in (pem(ec.generate_private_key(ec.SECP384R1())), pem(rsa.generate_private_key(65537, 2048)), b"x"):
        with pytest.raises(InvalidKeyError):
            load_key(other)
    for payload in (b"", b"[]", b"{}", b'{"critical": {"type": "atomic container signature"}}', b"[" * 10**5):
        assert not covers(payload, "sha256:a")
    for manifest in (b"", b"[]", b'{"layers": 1}', b'{"layers": [1, {}]}', b"[" * 10**5):
        assert signatures(manifest) == []


def test_push_times_survive_the_store_and_a_moved_tag_is_another_list() -> None:
    store, tags = TagStore(), ("b", "a")
    first, second = pack(tags, "r", {"a": 1, "b": 2}), pack(tags, "r", {"a": 1, "b": 3})
    assert first.times() == {"a": 1, "b": 2} and pack(tags, "r").times() == {}
    assert first.identity != second.identity
    from controllers.api.resource import Key

    store.put(Key("ns", "x"), first)
    store.put(Key("ns", "y"), second)
    assert store.get(Key("ns", "y")).times()["b"] == 3  # type: ignore[union-attr]
