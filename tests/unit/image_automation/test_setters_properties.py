"""An edit changes the bytes of marked scalars and nothing else, is idempotent, and means exactly the new values.

The oracle knows nothing of our reader: generated texts are put together from pieces, so it is known which piece is a
marked scalar; in files of this repository PyYAML's own parser says where scalars stand, and markers are put behind some
of them. `make fuzz` draws more of both.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from controllers.image_automation.commit.setters import FileEdit, edit_file
from controllers.image_automation.tags.reference import Ref

ROOT = Path(__file__).parents[3]
DIGEST = "sha256:" + "d" * 64
POLICIES = {
    "ns:app": Ref("reg.example/team/app", "v1.2.3"),
    "ns:pin": Ref("reg.example:5000/pin", "2024.01.02", DIGEST),
    "ns:num": Ref("reg.example/num", "1_000"),
    "ns:exp": Ref("reg.example/exp", "1e3"),
    "ns:bool": Ref("reg.example/bool", "on"),
}
WANTED = {
    **{name: ref.image for name, ref in POLICIES.items()},
    **{f"{name}:tag": ref.tag for name, ref in POLICIES.items()},
    **{f"{name}:name": ref.name for name, ref in POLICIES.items()},
    "ns:pin:digest": DIGEST,
}
SETTERS = sorted(WANTED)


def marker(setter: str, spacing: str = " ") -> str:
    return f'#{spacing}{{"$imagepolicy":{spacing}"{setter}"}}'


def meaning(text: str) -> list[list[Any]]:
    """A text as its events; scalars with their values, places aside."""
    found = []
    for event in yaml.parse(text.removeprefix("\ufeff"), Loader=yaml.CSafeLoader):
        entry: list[Any] = [type(event).__name__]
        if isinstance(event, yaml.ScalarEvent):
            entry += [event.anchor, event.tag, event.value]
        elif isinstance(event, yaml.AliasEvent | yaml.CollectionStartEvent):
            entry += [event.anchor, getattr(event, "tag", None)]
        found.append(entry)
    return found


def edited(text: str) -> tuple[str, FileEdit]:
    done = edit_file("a.yaml", text.encode(), POLICIES)
    return (done.content.decode() if done.content is not None else text), done


def check_parts(before: list[tuple[str, str]], after: str) -> None:
    """`before`: pieces of the text, each with its setter or "". All of "" stand as they did; the others hold the new
    value in the style of the old one.
    """
    at = 0
    for piece, setter in before:
        if not setter:
            assert after.startswith(piece, at), f"bytes changed that nobody marked: {piece!r}"
            at += len(piece)
            continue
        new = WANTED[setter]
        forms = {"'": ["'" + new + "'"], '"': [f'"{new}"']}.get(piece[:1], [new, f'"{new}"'])
        unchanged = [piece] if str(yaml.safe_load(piece)) == new else []
        found = next((form for form in [*unchanged, *forms] if after.startswith(form, at)), None)
        assert found is not None, f"{piece!r} did not become {new!r}: {after[at : at + 90]!r}"
        at += len(found)
    assert at == len(after)


# --- generated texts

PLAIN = st.sampled_from(["old", "nginx:1.0", "a b  c", "x#y", "1.5", "true", "é", "😀", "-x", "a,b", "v: w"[:1]])
NAMES = st.sampled_from(["image", "tag", "a.b/c", "'q k'", '"k"', "é", "x-y", "9"])
COMMENTS = st.sampled_from(["", "", " # note", "   # {json: no}", ' # {"other": "x"}', " \t# tab"])
BLANK = st.sampled_from(["", "", "", "\n", "\n\n", "# a line\n", "   \n"])


@dataclass(frozen=True)
class Piece:
    text: str
    setter: str = ""


@st.composite
def scalars(draw: st.DrawFn) -> str:
    value = draw(PLAIN)
    match draw(st.sampled_from(["plain", "plain", "single", "double"])):
        case "single":
            return f"'{value}'"
        case "double":
            return f'"{value}"'
    return value


@st.composite
def leaf(draw: st.DrawFn, before: str) -> list[Piece]:
    """A scalar at the end of its line, marked or not."""
    head = [Piece(before + draw(st.sampled_from([" ", " ", "  ", " &anchor%d "])))]
    if "%d" in head[0].text:
        head = [Piece(head[0].text % draw(st.integers(0, 10**9)))]
    text = draw(scalars())
    if draw(st.booleans()):
        setter = draw(st.sampled_from(SETTERS))
        gap = draw(st.sampled_from([" ", "  ", "\t"]))
        return [*head, Piece(text, setter), Piece(f"{gap}{marker(setter, draw(st.sampled_from([' ', ''])))}\n")]
    return [*head, Piece(f"{text}{draw(COMMENTS)}\n")]


@st.composite
def blocks(draw: st.DrawFn, indent: int, depth: int) -> list[Piece]:
    """The lines of a mapping or a list."""
    pad, is_map, out = " " * indent, depth == 0 or draw(st.booleans()), []
    for number in range(draw(st.integers(1, 4))):
        out.append(Piece(draw(BLANK)))
        head = f"{pad}{draw(NAMES)}:" if is_map else f"{pad}-"
        if is_map:
            head = head.replace(":", "", 1) + f"{number}:" if head.strip()[0] not in "'\"" else head
        kind = draw(st.sampled_from(["leaf", "leaf", "leaf", "nested", "flow", "literal", "null"]))
        if kind == "nested" and depth < 3:
            out.append(Piece(f"{head}{draw(COMMENTS)}\n"))
            out += draw(blocks(indent + draw(st.sampled_from([2, 2, 4, 3])), depth + 1))
        elif kind == "flow":
            out.append(Piece(f"{head} {{x: [1,  'two' ], y:   z}}{draw(COMMENTS)}\n"))
        elif kind == "literal":
            out.append(Piece(f"{head} |-\n{pad}    # {marker('ns:app')} text\n{pad}    b: c # no comment\n"))
        elif kind == "null":
            out.append(Piece(f"{head}{draw(COMMENTS)}\n"))
        else:
            out += draw(leaf(head))
    return out


@st.composite
def texts(draw: st.DrawFn) -> list[Piece]:
    pieces = [Piece(draw(st.sampled_from(["", "", "\ufeff", "# licence\n\n"])))]
    for number in range(draw(st.integers(1, 3))):
        if number:
            pieces.append(Piece(draw(st.sampled_from(["---\n", "--- # next\n", "...\n---\n\n"]))))
        pieces += draw(blocks(draw(st.sampled_from([0, 0, 2])), 0))
    if draw(st.booleans()):  # line ends of another system
        pieces = [Piece(one.text.replace("\n", "\r\n"), one.setter) for one in pieces]
    if draw(st.booleans()):  # no line end at the end
        pieces[-1] = Piece(pieces[-1].text.removesuffix("\n").removesuffix("\r"), pieces[-1].setter)
    return pieces


def holds(pieces: list[Piece]) -> None:
    text = "".join(one.text for one in pieces)
    try:
        before = meaning(text)
    except yaml.YAMLError:
        reject()  # not YAML at all
    after, done = edited(text)
    assert not done.problem, (done.problem, text)
    check_parts([(one.text, one.setter) for one in pieces], after)
    again, second = edited(after)
    assert again == after and not second.changes, "not idempotent"
    now, wanted = meaning(after), [one.setter for one in pieces if one.setter]
    differing = [(old, new) for old, new in zip(before, now, strict=True) if old != new]
    assert len(differing) <= len(wanted)
    assert all(old[:3] == new[:3] for old, new in differing), "an anchor or a tag changed"
    written = [new[3] for _, new in differing]
    assert written == [one.new for one in done.changes], "other values than those that were reported"
    if wanted:
        standing = [WANTED[setter] for setter in wanted]
        for one in written:  # in the order of the text
            assert one in standing
            standing = standing[standing.index(one) + 1 :]


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(texts())
def test_an_edit_of_any_text_changes_only_marked_scalars(pieces: list[Piece]) -> None:
    holds(pieces)


@pytest.mark.slow
@settings(max_examples=20_000, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(texts())
def test_an_edit_of_very_many_texts_changes_only_marked_scalars(pieces: list[Piece]) -> None:
    holds(pieces)


# --- files of this repository

FOLDERS = ("kustomize", "crds", "controllers", "tests", "docs", "examples", ".github", "deploy")


def files() -> list[str]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in (".yaml", ".yml")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def scalars_of(text: str) -> list[tuple[int, int]]:
    """Where scalars stand (characters) that are values or items, on one line, and the last thing on it."""
    found: dict[int, tuple[int, int]] = {}

    def walk(node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            for _, value in node.value:
                walk(value)
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                walk(item)
        elif isinstance(node, yaml.ScalarNode) and node.style in (None, "", "'", '"'):
            start, end = node.start_mark.index, node.end_mark.index
            rest = text[end:].split("\n", 1)[0]
            if (
                start < end
                and text[start] not in "!&"
                and "\n" not in text[start:end]
                and not rest.strip()
                and text[start - 1 : start] == " "
            ):
                found[start] = (start, end)

    for root in yaml.compose_all(text, Loader=yaml.CSafeLoader):
        if isinstance(root, yaml.MappingNode):
            walk(root)
    return [found[start] for start in sorted(found)]


def marked(text: str, generator: random.Random, most: int) -> list[Piece]:
    """The text with markers behind some of its scalars."""
    places = scalars_of(text)
    pieces, at = [], 0
    for start, end in sorted(generator.sample(places, min(most, len(places)))):
        line_end = text.find("\n", end)
        line_end = len(text) if line_end < 0 else line_end
        setter = generator.choice(SETTERS)
        pieces += [Piece(text[at:start]), Piece(text[start:end], setter), Piece(f" {marker(setter)}")]
        at = line_end
    return [*pieces, Piece(text[at:])]


def over_files(rounds: int, most: int) -> int:
    scalars_marked = 0
    for path in files():
        text = (ROOT / path).read_bytes().decode()
        try:
            meaning(text)
            scalars_of(text)
        except yaml.YAMLError:
            continue  # a template, or broken on purpose
        for number in range(rounds):
            pieces = marked(text, random.Random(zlib.crc32(f"{path} {number}".encode())), most)
            scalars_marked += sum(bool(one.setter) for one in pieces)
            holds(pieces)
    return scalars_marked


def test_an_edit_of_every_yaml_file_of_this_repository_changes_only_marked_scalars() -> None:
    assert over_files(1, 6) > 300


@pytest.mark.slow
def test_edits_of_every_yaml_file_at_many_places_change_only_marked_scalars() -> None:
    assert over_files(30, 60) > 10_000
