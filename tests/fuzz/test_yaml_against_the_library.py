"""Every form of scalar, read and written, beside go-yaml itself (versions 2 and 3, and sigs.k8s.io/yaml over 2).

Differences that are stated, none of them silent: refused here are duplicate keys (version 2 keeps the last), two keys
that become one text, `!!binary` that is not UTF-8, infinity or NaN that a merge key replaces, and (by libyaml) a
plain scalar that ends in a colon within a flow collection; quoted here are a key `<<` (the library writes it plain
and cannot read it back) and `0o+7` (version 2 writes it plain, version 3 reads a number). Version 3 is compared on
scalars as values; its timestamps are times there and texts here.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from controllers.lang.yaml_dump import dump
from controllers.lang.yaml_load import InvalidYamlError, load
from controllers.lang.yaml_scalars import Version, is_timestamp, resolve
from tests.fuzz.go_library import ask

COUNT = int(os.environ.get("INHAUL_FUZZ_SCALARS", "10000"))
_WORDS = """
    true True TRUE tRue false False FALSE y Y yes Yes YES yEs n N no No NO on On ON oN off Off OFF null Null
    NULL nUll ~ .inf .Inf .INF +.inf -.inf -.INF .iNf +.nan .nan .NaN .NAN inf nan Infinity = 5e48573 1e400
    -1e400 1e-400 e5 1e 1e+ 0x 0b 0o 0x_ 0b2 0o8 08 089 0089 00918 0777 0o777 -0777 +0777 0O17 0X1f 0B11 0b-1
    0b+1 0o-7 0o+7 -0b1 -0o7 +0x1F -0x1F 18446744073709551615 18446744073709551616 9223372036854775807
    9223372036854775808 -9223372036854775808 -9223372036854775809 +9223372036854775808 0xffffffffffffffff
    0x10000000000000000 0x52b7d2dcc80cd2e4000000 1e3 1.0 1.50 -0 -0.0 +0 0.0 .5 -.5 +.5 5. .5_0 .5__0 1_000 _1
    1_ 1__0 0x_f 0_7 1e2_0 1:30 1:30:45 190:20:30.15 1:60 2026-01-01 2026-1-1 2026-13-01 2026-02-30 2024-02-29
    0000-02-29 2026-01-01T12:30:15Z 2026-01-01t1:2:3+01:00 2026-01-01T12:30:15.123456789Z 2026-01-01T24:00:00Z
    2026-01-01T12:30:15 2026-01-01T12:30:15+25:00 1.2.3 v1 1-1 --1 +-1 1e21 1e20 123456789012345678901
    1.7976931348623157e308 1.7976931348623159e308 4.9e-324 0.1 1e-7 . .. - + -. +. .e1 .1e5 0x1p4 0x1.8p1 .0x1
    ++1 1+1 12e03 0e0 00 -00 000 0b0 0xDEADBEEF 1e1e1
""".split()  # noqa: SIM905
_DIGITS = "0123456789" * 3 + "__..eE+-xXoObBaAfF:-TtZ"


def _text(make: random.Random) -> str:
    return _drawn(make).rstrip(":") or "0"


def _drawn(make: random.Random) -> str:
    roll = make.random()
    if roll < 0.35:
        return make.choice(_WORDS)
    if roll < 0.6:
        word = list(make.choice(_WORDS))
        word[make.randrange(len(word))] = make.choice(_DIGITS)
        return "".join(word)
    if roll < 0.7:  # the beginning of a commit
        return "".join(make.choices("0123456789abcdef", k=make.choice((7, 8, 12))))
    if roll < 0.78:
        prefix = make.choice(("", "0x", "0o", "0b", "0", "-", "+"))
        return f"{prefix}{make.getrandbits(make.choice((8, 62, 63, 64, 65, 80)))}"
    if roll < 0.85:
        clock = f"{make.choice('Tt ')}{make.randint(0, 25)}:{make.randint(0, 61)}:{make.randint(0, 61)}"
        zone = make.choice(("", "Z", "+01:00", "-24:60", "+1", ".5Z", ",25", ".", " Z"))
        day = f"{make.choice(('2026', '0000', '1900', '26', '20260'))}-{make.randint(0, 13)}-{make.randint(0, 32)}"
        return day + make.choice(("", clock, clock + zone))
    return "".join(make.choices(_DIGITS, k=make.randint(1, 9)))


def _quoted(make: random.Random, text: str) -> str:
    """A scalar as it may stand in a file: plain, quoted, with a tag."""
    style = make.random()
    tag = make.choice(("!!str ", "!!int ", "!!float ", "!!bool ", "!!null ", "!!timestamp ", "!own ", "! "))
    body = text if style < 0.8 else json.dumps(text) if style < 0.9 else f"'{text}'"
    return f"{tag}{body}" if make.random() < 0.1 else body


def _document(make: random.Random) -> str:
    one, other = _quoted(make, _text(make)), _quoted(make, _text(make))
    return make.choice(
        (
            f"a: {one}\nb: {other}\n", f"{one}: {other}\n", f"- {one}\n- {other}\n", f"[{one}, {other}]\n",
            f"{{a: {one}, b: {other}}}\n", f"{{{one}: {other}}}\n",
            f"a:\n  {one}: [{other}]\n", f"? {one}\n: {other}\n",
            f"a: &x {one}\nb: *x\n", f"a: &x {{k: {one}, j: 1}}\nb: {{<<: *x, j: {other}}}\n",
            f"a: &x {{k: 1}}\nb: {{k: {one}, <<: [*x, {{k: {other}}}]}}\n", f"&x {one} : 1\n? {other}\n: *x\n",
        )
    )  # fmt: skip


def _read(text: str, version: Version = Version.V2) -> tuple[Any, bool]:
    try:
        return load(text, version=version), True
    except InvalidYamlError as error:
        return str(error), False


def _same(ours: Any, theirs: Any) -> bool:
    """Equal in value and in type: to JSON, 1 and 1.5 are numbers, 1 and true are not the same."""
    return json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)


def _differences(texts: list[str], rule: str, ours: Callable[[str], tuple[Any, bool]]) -> list[tuple[str, str, str]]:
    found = []
    for text, answer in zip(texts, ask({"rule": rule, "text": text} for text in texts), strict=True):
        value, read = ours(text)
        if read != (not answer["error"]) or (read and not _same(value, json.loads(answer["text"]))):
            found.append((text, str(value), answer["error"] or answer["text"]))
    return found


def _is_stated(text: str, ours: str) -> bool:
    return "duplicate key" in ours or ("<<" in text and "infinity" in ours)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_documents_are_read_as_kubernetes_reads_them() -> None:
    make = random.Random(12)
    texts = [_document(make) for _ in range(COUNT)]
    found = [each for each in _differences(texts, "read", _read) if not _is_stated(*each[:2])]
    assert not found, (len(found), found[:5])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_plain_scalars_have_the_types_that_kustomize_gives_them() -> None:
    make = random.Random(13)
    texts = [text for text in (_text(make) for _ in range(COUNT)) if not is_timestamp(text)]
    found = _differences([f"- {text}\n" for text in texts], "read3", lambda text: _read(text, Version.V3))
    assert not found, (len(found), found[:5])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_texts_are_written_so_that_both_versions_read_them_back_and_quoted_where_the_library_quotes() -> None:
    make = random.Random(14)
    texts = [text for text in (_text(make) for _ in range(COUNT)) if text[:3] not in ("0o+", "0o-")]
    values = [{text: text, "list": [text], "map": {"a": text}} for text in texts]
    written = [dump(value) for value in values]
    theirs = [each["text"] for each in ask({"rule": "write", "value": value} for value in values)]
    lines = [(sorted(one.split("\n")), sorted(other.split("\n"))) for one, other in zip(written, theirs, strict=True)]
    assert [pair for pair in lines if pair[0] != pair[1]] == []  # in another order: Go sorts digits within keys
    for rule in ("read", "read3"):
        answers = ask({"rule": rule, "text": text} for text in written)
        found = [
            (text, answer) for text, value, answer in zip(written, values, answers, strict=True)
            if answer["error"] or json.loads(answer["text"]) != value
        ]  # fmt: skip
        assert not found, (rule, len(found), found[:5])


@pytest.mark.slow
def test_a_text_that_resolves_to_itself_is_never_a_number_to_either_version() -> None:
    make = random.Random(15)
    for text in (_text(make) for _ in range(COUNT)):
        if isinstance(resolve(text, Version.V2), str):
            assert resolve(text, Version.V3) == resolve(text, Version.V2) or text[:2] == "0o"
