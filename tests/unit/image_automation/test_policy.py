from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.api.image import OrderPolicy, PolicyChoice, SemVerPolicy, TagFilter
from controllers.image_automation.policy.policy import NoTagSelectedError, compile_policy, parse_number
from controllers.image_automation.tags.reference import InvalidPolicyError

SEMVER = PolicyChoice(semver=SemVerPolicy(range=">=0.0.0-0"))
NUMERICAL = PolicyChoice(numerical=OrderPolicy(order="asc"))


def _pick(choice: PolicyChoice, tags: Sequence[str], pattern: str = "", extract: str = "") -> str:
    return compile_policy(choice, TagFilter(pattern=pattern, extract=extract)).pick(tags)


def test_a_thousand_evaluations_of_shuffled_lists_never_flap() -> None:
    tags = [f"b{n}-{'9' * 20}{n % 3}" for n in range(40)] + ["v1.0.0", "1.0.0", "1.0.0+10", "1.0.0+9"]
    rng = random.Random(7)
    numbers, versions = set(), set()
    numeric = compile_policy(NUMERICAL, TagFilter(pattern=r"-(\d+)$", extract="$1"))
    semantic = compile_policy(SEMVER)
    for _ in range(1000):
        rng.shuffle(tags)
        numbers.add(numeric.pick(tags))
        versions.add(semantic.pick(tags))
    assert numbers == {"b11-" + "9" * 20 + "2"} and versions == {"1.0.0+10"}


def test_numbers_of_twenty_digits_are_told_apart() -> None:
    assert _pick(NUMERICAL, ["90071992547409930001", "90071992547409930002"]) == "90071992547409930002"
    assert _pick(PolicyChoice(numerical=OrderPolicy(order="desc")), ["9007199254740993", "9007199254740992"]).endswith(
        "2"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000),
        ("1.", 1),
        ("-1", -1),
        ("0x1p4", 16),
        ("1_000", 1000),
        (".5", 0.5),
        ("0x.8p1", 1),
        ("1e-999999999", 0),
    ],
)
def test_every_form_of_a_number_is_read(text: str, value: float) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text", ["inf", "nan", "0x10", "1e999", "1e99999999999", "", "1__0", "_1", "1_", "1a", "0x1p99999"]
)
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    with pytest.raises(NoTagSelectedError, match="invalid numeric value"):
        parse_number(text)


@pytest.mark.parametrize(
    ("extract", "expected"),
    [
        ("$1", "12"),
        ("${1}x", "12x"),
        ("$1x", ""),
        ("$n-$1", "12-12"),
        ("$$1", "$1"),
        ("$9", ""),
        ("$nope.", "."),
        ("$", "$"),
    ],
)
def test_extract_expands_as_go_does(extract: str, expected: str) -> None:
    policy = compile_policy(
        PolicyChoice(alphabetical=OrderPolicy()), TagFilter(pattern=r"r(?P<n>\d+)", extract=extract)
    )
    assert list(policy.values(["r12"])) == [expected]


@pytest.mark.parametrize("pattern", ["(?=x)", r"(a)\1", "(", "(?<!y)z"])
def test_an_expression_that_re2_refuses_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidPolicyError, match="invalid regular expression pattern"):
        compile_policy(SEMVER, TagFilter(pattern=pattern))


def test_a_policy_that_is_none_and_a_range_that_is_none_say_so() -> None:
    with pytest.raises(InvalidPolicyError, match="invalid"):
        compile_policy(PolicyChoice())
    with pytest.raises(InvalidPolicyError, match=r"spec\.policy\.semver\.range: found '\*-\*'"):
        compile_policy(PolicyChoice(semver=SemVerPolicy(range="*-*")))


def test_explain_says_why_each_tag_is_out_and_puts_the_pick_first() -> None:
    policy = compile_policy(PolicyChoice(semver=SemVerPolicy(range="1.x")), TagFilter(pattern=r"^v(.*)$", extract="$1"))
    verdicts = policy.explain(["v1.0.0", "v1.1.0", "v2.0.0", "v1", "1.5.0"])
    assert [one.tag for one in verdicts if one.kept] == ["v1.1.0", "v1.0.0"]
    assert {one.tag: one.why for one in verdicts if not one.kept} == {
        "v2.0.0": "is not in the range 1.x",
        "v1": "is not a version of three parts",
        "1.5.0": "does not match filterTags.pattern",
    }


_TAGS = st.from_regex(r"v?[0-2]\.[0-2]\.[0-2](-rc\.[0-9])?(\+[0-9]{1,2})?", fullmatch=True)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.from_regex(r"v?[0-2]\.[0-2]\.[0-2](-rc\.[0-9])?(\+[0-9]{1,2})?", fullmatch=True), min_size=1, unique=True
    )
)
def test_the_pick_is_the_first_that_explain_keeps_in_any_order(tags: list[str]) -> None:
    policy = compile_policy(SEMVER)
    assert policy.pick(tags) == policy.pick(tags[::-1]) == policy.explain(tags)[0].tag


@pytest.mark.parametrize(
    ("pattern", "tag", "expected"),
    [
        (r"^(?:a-(?P<n>\d+)|b-(?P<n>\d+))$", "b-2", "2"),
        (r"^(?:a-(?P<n>\d+)|b-(?P<n>\d+))$", "a-1", "1"),
        (r"^(?:a(?<n>)|b-(?P<n>\d+))$", "b-2", "2"),
        (r"[(?P<n>]?\(?(?:x(?P<n>y)|(v)-(?:(?P<n>\d)))", "v-3", "3"),
        (r"[]()]?\Q(?P<n>\E?(?:x(?P<n>y)|z(?P<n>\d))", "(?P<nz4", "4"),
        (r"[[:alpha:](](?:x(?P<n>y)|-(?P<n>\d))", "k-5", "5"),
    ],
)
def test_of_groups_with_one_name_the_first_that_took_part_counts_as_in_go(
    pattern: str, tag: str, expected: str
) -> None:
    """Go 1.26's regexp gives these for ExpandString("$n")."""
    policy = compile_policy(PolicyChoice(alphabetical=OrderPolicy()), TagFilter(pattern=pattern, extract="$n"))
    assert [each.value for each in policy.explain([tag])] == [expected]
