"""What an expression yields, and that a hostile one ends in an error."""

from __future__ import annotations

import time

import pytest

from controllers.lang.cel import CelError, compile_cel

SELF = {"name": "Foo", "replicas": 3, "items": [{"name": "a", "n": 1}, {"name": "b", "n": 2}], "big": list(range(300))}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("has(self.name) && self.name.size() > 0", True),
        ("!has(self.missing) || self.missing == 1", True),
        ("self.items.all(i, i.name.matches('^[a-z]$'))", True),
        ("self.items.exists(i, i.n == 3)", False),
        ("self.replicas >= oldSelf.replicas", True),
        ("self.name.lowerAscii() + ['x'].join(',')", "foox"),
        ("'a,b'.split(',')", ["a", "b"]),
        ("'abc'.find('b+')", "b"),
        ("'a1b22'.findAll('[0-9]+')", ["1", "22"]),
        ("'a1b22'.findAll('[0-9]+', 1)", ["1"]),
        ("[1, 2, 3].sum()", 6),
        ("[1.5, 2.5].sum() == 4.0 && [3, 1].max() == 3 && [3, 1].min() == 1", True),
        ("[1, 2, 2].isSorted() && ![2, 1].isSorted()", True),
        ("[1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2 && [1].indexOf(5) == -1", True),
        ("isURL('https://example.com/x') && !isURL('example')", True),
        ("self.?missing.orValue('none')", "none"),
        ("duration('90s') > duration('1m')", True),
    ],
)
def test_an_expression_yields(source: str, expected: object) -> None:
    program = compile_cel(source, ("self", "oldSelf"))
    assert program.evaluate({"self": SELF, "oldSelf": {"replicas": 2}}) == expected


@pytest.mark.parametrize("source", ["1 +", "self.name(", "unknown(self)", "quantity('1')", "(" * 500 + "1" + ")" * 500])
def test_what_does_not_compile_says_so(source: str) -> None:
    with pytest.raises(CelError) as caught:
        compile_cel(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "source", ["self.missing == 1", "self.name.matches('(')", "1 / 0 == 1", "self.items[9].n == 1"]
)
def test_a_failed_evaluation_is_a_cel_error(source: str) -> None:
    with pytest.raises(CelError):
        compile_cel(source).evaluate({"self": SELF})


def test_a_rule_must_be_boolean() -> None:
    with pytest.raises(CelError, match="expected true or false"):
        compile_cel("self.name").holds({"self": SELF})


def test_nested_loops_end_in_time() -> None:
    started = time.monotonic()
    with pytest.raises(CelError, match="budget"):
        compile_cel("self.big.all(a, self.big.all(b, self.big.all(c, true)))").evaluate({"self": SELF})
    assert time.monotonic() - started < 2


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(CelError):
        compile_cel("self").evaluate({"self": 2**70})
