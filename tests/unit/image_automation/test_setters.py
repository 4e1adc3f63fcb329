"""Setter edits: which scalars are meant, and that nothing else changes."""

from __future__ import annotations

import string

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.api.resource import Manifest
from controllers.image_automation.commit.markers import MAX_DEPTH
from controllers.image_automation.commit.setters import FileEdit, edit_file, edit_tree
from controllers.image_automation.tags.reference import Ref

D = "sha256:" + "a" * 64
POLICIES = {
    "ns:app": Ref("reg.io/app", "1.2.3"),
    "ns:pin": Ref("reg.io/pin", "2.0.0", D),
    "ns:num": Ref("reg.io/num", "10"),
}
M = '# {"$imagepolicy": "ns:app"}'
T = '# {"$imagepolicy": "ns:app:tag"}'


def _edit(text: str, path: str = "x.yaml") -> tuple[str, FileEdit]:
    result = edit_file(path, text.encode(), POLICIES)
    return (result.content.decode() if result.content is not None else text), result


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"a: old {M}\n", f"a: reg.io/app:1.2.3 {M}\n"),
        (f"a:   'old'\t{M}", f"a:   'reg.io/app:1.2.3'\t{M}"),
        (f'a: "old" {M}\n', f'a: "reg.io/app:1.2.3" {M}\n'),
        (f'a: "" {T}\n', f'a: "1.2.3" {T}\n'),
        (f"a: &x old {M}\nb: *x\n", f"a: &x reg.io/app:1.2.3 {M}\nb: *x\n"),
        (f"a: !!str old {T}\n", f"a: !!str 1.2.3 {T}\n"),
        (f"a:\n- old {M}\n- b\n", f"a:\n- reg.io/app:1.2.3 {M}\n- b\n"),
        (f"a:\n  {M}\n  - old\n", f"a:\n  {M}\n  - reg.io/app:1.2.3\n"),
        (f"a:\n  - x # no\n  {M}\n  - old\n", f"a:\n  - x # no\n  {M}\n  - reg.io/app:1.2.3\n"),
        (f"a: {{b: c, d: old, {T}\n  e: f}}\n", f"a: {{b: c, d: 1.2.3, {T}\n  e: f}}\n"),
        (f"a: [x, old {T}\n]\n", f"a: [x, 1.2.3 {T}\n]\n"),
        (f"a: | {T}\n  old\n\nb: c\n", f"a: | {T}\n  1.2.3\n\nb: c\n"),
        (f"a: >- {T}\n    old\n    more\nb: c\n", f"a: >- {T}\n    1.2.3\nb: c\n"),
        (f"a:\n  {M}\n  old\n", f"a:\n  {M}\n  reg.io/app:1.2.3\n"),
        (f"a: 'o\n  ld' {T}\n", f"a: '1.2.3' {T}\n"),
        (f"a: old #{M[2:]}\n", f"a: reg.io/app:1.2.3 #{M[2:]}\n"),
        (f"a: old #{M}\n", f"a: reg.io/app:1.2.3 #{M}\n"),
        ('a: 9 # {"$imagepolicy": "ns:num:tag"}\n', 'a: "10" # {"$imagepolicy": "ns:num:tag"}\n'),
        ('a: sha256:0 # {"$imagepolicy": "ns:pin:digest", "x": "y"}\n', None),
        (f"\ufeff---\r\n\r\na:   old {M}\r\n\r\n\r\nb: \U0001f600 \\u00e9 # x", None),
        (f"# licence\n---\n---\n# only\n---\nk:\n    a: old {M}\n...\n# end", None),
        (f"<<: &m {{q: r}}\nmetadata:\na: old {M}\n", None),
        (f"kind: List\nitems:\n- kind: Pod\n  metadata: {{name: p}}\n  image: old {M}\n", None),
        (f"a: old {M}\na: other\n", None),
        (f"a: &x old {M}\nb: &x again\nc: *x\n", None),
    ],
)
def test_a_marked_scalar_is_written_in_its_own_style_and_place(before: str, after: str | None) -> None:
    got, result = _edit(before)
    expected = after or before.replace("old", "reg.io/app:1.2.3").replace("sha256:0 ", f"{D} ")
    assert got == expected and result.changes and not result.unresolved
    again, second = _edit(got)
    assert again == got and second.content is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{M}\na: old\n", "on a line of its own"),
        (f"a: {M}\n  old\n", "empty or on the next line"),
        (f"tag: {T}\n", "empty or on the next line"),
        (f"a: old\n{M}\n", "on a line of its own"),
        (f"a: [x, y] {M}\n", "flow collection"),
        (f"a: &b x\nc: *b {M}\n", "alias"),
        (f"- old {M}\n", "not a mapping"),
        (f"old {M}\n", "not a mapping"),
        (f"a:\n  # text\n  {M}\n  - old\n", "on a line of its own"),
        (f"a: |\n  x\n{M}\n", "on a line of its own"),
        ('a: old # x {"$imagepolicy": "ns:app"}\n', "one JSON object"),
        ('a: old # {"$imagepolicy": "ns:app"} x\n', "one JSON object"),
        ('a: old # {"$imagepolicy": "ns:app:size"}\n', "unknown suffix"),
        ('a: old # {"$imagepolicy": "app"}\n', "expected"),
        ('a: old # {"$imagepolicy": "ns/app"}\n', "expected"),
        ('a: old # {"$imagepolicy": "ns:app", "n": 1}\n', "object of strings"),
        ('a: old # {"$imagepolicy": "other:app"}\n', "no policy"),
        ('a: sha256:1 # {"$imagepolicy": "ns:app:digest"}\n', "no digest"),
    ],
)
def test_a_marker_that_means_nothing_changes_nothing_and_is_reported(text: str, why: str) -> None:
    got, result = _edit(text)
    assert got == text and result.content is None
    assert [why in one.why for one in result.unresolved] == [True]


def test_text_inside_a_scalar_is_never_a_marker() -> None:
    text = f"a: |\n  x: y {M}\nb: 'c {M}'\n"
    got, result = _edit(text)
    assert got == text and not result.unresolved


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{{- if .Values.x }}\na: old " + M.encode(), "not YAML"),
        (b"a: [\n" + M.encode(), "not YAML"),
        (b"\xff\xfe" + M.encode(), "not UTF-8"),
        (b"a: " + b"[" * (MAX_DEPTH + 5) + M.encode(), "levels"),
        (b"a: *nope\nb: old " + M.encode(), "undefined alias"),
        (b"a: x " + M.encode() + b"\n" + b"#" * (4 << 20), "more than"),
    ],
)
def test_a_file_that_cannot_be_read_is_reported_and_the_others_go_on(content: bytes, problem: str) -> None:
    result = edit_tree({"bad.yaml": content, "good.yml": f"a: old {M}\n".encode()}, POLICIES)
    assert [path for path, text in result.problems if problem in text] == ["bad.yaml"]
    assert result.contents == {"good.yml": f"a: reg.io/app:1.2.3 {M}\n".encode()}


def test_only_yaml_names_are_looked_at() -> None:
    text = f"a: old {M}\n".encode()
    names = ["a.yaml", "b.yml", "Kustomization", ".hidden/c.yaml", "d.YAML", "e.json", "f.tpl", "kustomization"]
    result = edit_tree(dict.fromkeys(names, text), POLICIES)
    assert sorted(result.contents) == [".hidden/c.yaml", "Kustomization", "a.yaml", "b.yml"]


def test_changes_name_the_object_also_inside_a_list() -> None:
    text = (
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: apps/v1\n  kind: Deployment\n"
        f"  metadata: {{name: web, namespace: shop}}\n  image: old {M}\n---\nkind: Pod\nimage: old {M}\n"
    )
    _, result = _edit(text)
    assert [(c.object.kind, c.object.namespace, c.object.name, c.line) for c in result.changes] == [
        ("Deployment", "shop", "web", 7),
        ("Pod", "", "", 10),
    ]
    assert (result.changes[0].old, result.changes[0].new, result.changes[0].setter) == (
        "old",
        "reg.io/app:1.2.3",
        "ns:app",
    )


# --- property: only the marked scalars change

_plain = st.text(string.ascii_letters + string.digits + "._/-", min_size=1, max_size=8).map(lambda t: f"x{t}")
_printable = st.characters(
    codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Zl", "Zp"], exclude_characters="\ufeff"
)
_quoted = st.text(_printable, max_size=8)


@st.composite
def _scalar(draw: st.DrawFn) -> str:
    style = draw(st.sampled_from(["plain", "single", "double"]))
    if style == "plain":
        return draw(_plain)
    text = draw(_quoted)
    if style == "single":
        return "'" + text.replace("'", "''") + "'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@st.composite
def _document(draw: st.DrawFn) -> tuple[str, list[str]]:
    """(text, keys of marked scalars): mappings, lists, comments, blank lines, either line end."""
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    lines, marked = [draw(st.sampled_from(["---", "# head", "", "%YAML 1.1\n---".replace("\n", newline)]))], []
    if draw(st.booleans()):
        lines[0] = draw(st.sampled_from(["\ufeff", ""])) + lines[0]
    for number in range(draw(st.integers(1, 6))):
        indent = ""
        if draw(st.booleans()):
            lines.append(f"m{number}:" + draw(st.sampled_from(["", " ", "  # {x}"])))
            indent = " " * draw(st.integers(1, 5))
        marker = draw(st.sampled_from(["", M, T, "# note", '# {"$imagepolicy": "ns:pin:digest"}']))
        key = f"k{number}"
        if "$" in marker:
            marked.append(key)
        pad = " " * draw(st.integers(1, 3))
        lines.append(f"{indent}{key}:{pad}{draw(_scalar())}{pad}{marker}")
        lines += draw(st.lists(st.sampled_from(["", "  ", "# c", "   # d: {"]), max_size=2))
    return newline.join(lines) + draw(st.sampled_from(["", newline])), marked


def _flat(text: str) -> dict[str, str]:
    found = {}

    def walk(value: Manifest) -> None:
        for key, item in value.items():
            if isinstance(item, dict):
                walk(item)
            else:
                found[key] = item

    loaded = yaml.load(text.removeprefix("\ufeff"), Loader=yaml.BaseLoader)
    walk(loaded)
    return found


@settings(max_examples=150, deadline=None)
@given(_document())
def test_an_edit_changes_only_the_bytes_of_marked_scalars_and_is_idempotent(
    document: tuple[str, list[str]],
) -> None:
    text, marked = document
    got, result = _edit(text)
    assert not result.problem, result.problem
    before, after = _flat(text), _flat(got)
    assert list(before) == list(after)
    changed = {key for key in before if before[key] != after[key]}
    assert changed <= set(marked) and len(changed) == len(result.changes)
    for key in marked:
        assert after[key] in {"reg.io/app:1.2.3", "1.2.3", D}
    assert _edit(got)[1].content is None
    rest_before, rest_after = text, got
    for change in result.changes:  # what is left without the written values is what was there
        rest_after = rest_after.replace(change.new, "\0", 1)
    assert rest_after.count("\n") == rest_before.count("\n") and rest_after.count("#") >= got.count("# {")
    for was, now in zip(text.split("\n"), got.split("\n"), strict=True):
        if not any(f"{key}:" in was for key in changed):
            assert was == now
        else:
            assert was.split(":")[0] == now.split(":")[0] and was[was.rindex("# {") :] == now[now.rindex("# {") :]
