"""The short way to the highest version finds what the long way finds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.lang.semver import Constraint, InvalidConstraintError, highest, order_key, parse_tag

_NUMBER = st.integers(0, 4).map(str)
_PART = st.one_of(_NUMBER, st.just("x"))
_OPERATOR = st.sampled_from(["", "=", "!=", ">", "<", ">=", "<=", "~", "^", "=>", "=<", "~>"])
_RULE = st.builds("{}{}.{}.{}{}".format, _OPERATOR, _NUMBER, _PART, _PART, st.sampled_from(["", "", "-0", "-rc.1"]))
_SHORT = st.builds("{}{}".format, _OPERATOR, st.sampled_from(["1", "1.2", "*", "0", "0.0.3", "0.0.0", "^0"]))
_RANGE = st.lists(st.lists(st.one_of(_RULE, _SHORT), min_size=1, max_size=2).map(" ".join), min_size=1, max_size=2).map(
    " || ".join
)
_TAG = st.builds(
    "{}{}.{}.{}{}".format,
    st.sampled_from(["", "v", "0"]),
    _NUMBER,
    _NUMBER,
    _NUMBER,
    st.sampled_from(["", "", "-0", "-rc.1", "-rc.01", "+b", "+2", ".1"]),
)


@settings(max_examples=300, deadline=None)
@given(_RANGE, st.lists(_TAG, max_size=25))
def test_the_short_way_to_the_highest_version_agrees_with_the_long_one(text: str, tags: list[str]) -> None:
    try:
        constraint = Constraint.parse(text)
    except InvalidConstraintError:
        return
    passing = [one for one in map(parse_tag, tags) if one is not None and constraint.check(one)]
    found = highest(tags, constraint)
    assert (found and found.original) == (max(passing, key=order_key).original if passing else None)
