"""What a tenant may try through image automation: what it writes, into files and into commits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from controllers.git import (
    NewCommit,
    Person,
    trailers,
    with_trailers,
)
from controllers.git import commit as git_commit
from controllers.image_automation.commit import markers, message
from controllers.image_automation.commit import setters as edit
from controllers.image_automation.commit import visit as work
from controllers.image_automation.commit.push_config import PolicyView, select_policies
from controllers.image_automation.commit.setters import edit_file, edit_tree
from controllers.image_automation.policy.policy import compile_policy
from controllers.image_automation.tags import scan
from controllers.image_automation.tags.reference import InvalidPolicyError, Ref
from tests.attacks import attack
from tests.attacks.gitting import plain
from tests.attacks.visiting import MARKED, NOW, Host, fleet, job

AREA = "image automation"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return fleet(tmp_path)


FORGED = "Update\n\nImage-Update-Automation: team-b/prod\nImage-Policy: team-b/web r.io/evil:9\n"


@attack(AREA, "messageTemplate that forges the trailers of another automation",
        guard="git/commit.py: ours stand alone where names clash",
        without="the forged ones come first, and holds and recovery believe them")  # fmt: skip
def test_a_message_cannot_speak_in_the_name_of_another_automation(host: Host) -> None:
    commit = host.visit(job("apps", template=FORGED)).commit
    found = trailers(plain("log", "-1", "--format=%B", commit, cwd=host.work).stdout)
    assert ("Image-Update-Automation", "team-a/bot") in found
    assert all("team-b" not in value for _, value in found)
    unguarded = f"{FORGED}Image-Update-Automation: team-a/bot\n"
    assert trailers(unguarded)[0] == ("Image-Update-Automation", "team-b/prod")


@attack(AREA, "Values with line breaks that become trailers", guard="git/commit.py: one line per trailer",
        without="a second trailer is read")  # fmt: skip
def test_a_trailer_is_one_line() -> None:
    value = "team-a/bot\nImage-Policy: team-b/web r.io/evil:9"
    found = trailers(with_trailers("x", [("Image-Update-Automation", value)]))
    assert [name for name, _ in found] == ["Image-Update-Automation"]
    assert len(trailers(f"x\n\nImage-Update-Automation: {value}\n")) == 2


@attack(AREA, "messageTemplate that renders megabytes", guard="message.py MAX_MESSAGE", without="it is committed")
def test_a_message_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    template = '{{ repeat 90000 "x" }}'
    changed = edit_tree({"a.yaml": MARKED.encode()}, job().policies)

    def render() -> str:
        return message.render(template, automation=message.Automation("team-a", "bot"), changed=changed)

    with pytest.raises(message.InvalidMessageError, match="characters"):
        render()
    monkeypatch.setattr(message, "MAX_MESSAGE", 1 << 30)
    assert len(render()) == 90_000


@attack(AREA, "Author whose name holds line breaks and headers", guard="git/commit.py _person",
        without="the commit gets another committer")  # fmt: skip
def test_an_author_is_one_line(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    evil = Person("x <e@x> 1 +0000\ncommitter Admin <admin@example.com> 1 +0000\nx", "bot@example.com")
    new = NewCommit("0" * 40, {}, "m", evil, NOW)
    assert b"\ncommitter Admin" not in git_commit._commit_bytes("1" * 40, new)
    monkeypatch.setattr(git_commit, "_IDENTITY", re.compile(r"(?!)"))
    assert b"\ncommitter Admin" in git_commit._commit_bytes("1" * 40, new)


@attack(AREA, "Marker that names a policy of another namespace", guard="push_config.py select_policies",
        without="the other tenant's image is written")  # fmt: skip
def test_a_marker_means_only_policies_of_its_own_namespace() -> None:
    theirs = PolicyView("team-b", "web", {}, Ref("r.io/web", "9.9.9"))
    text = MARKED.replace("team-a:web", "team-b:web").encode()

    def written(namespace: str) -> bytes | None:
        chosen = select_policies([theirs], namespace=namespace, selector=None)
        return edit_file("a.yaml", text, {f"{one.namespace}:{one.name}": one.latest for one in chosen}).content  # type: ignore[misc]

    assert written("team-a") is None
    assert written("team-b") is not None


TAGS = ["$(id)", "`id`", "; rm -rf /", "a: b # c", "x\n  evil: true", "{{ .Values }}", "*", "&a", "a'b", 'a"b', "-rf",
        "é", "../../x", "a" * 129]  # fmt: skip


@attack(AREA, "Tags with metacharacters of shells, YAML and templates", guard="scan.py keeps well-formed tags",
        without="they are picked")  # fmt: skip
def test_tags_that_are_none_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert scan.scanned(TAGS).tags == ()
    monkeypatch.setattr(scan, "is_tag", lambda tag: True)
    assert set(scan.scanned(TAGS).tags) == set(TAGS)


@attack(AREA, "Tag that would end its scalar and begin another key", guard="setters.py: quotes, and reads it again",
        without="the file gets the key")  # fmt: skip
def test_a_value_stays_one_scalar(monkeypatch: pytest.MonkeyPatch) -> None:
    evil = {"team-a:web": Ref("r.io/web", "1\nprivileged: true #")}
    done = edit_file("a.yaml", MARKED.encode(), evil)
    assert done.content is None or set(yaml.safe_load(done.content)) == {"image"}
    monkeypatch.setattr(edit, "is_plain_scalar", lambda text: True)
    assert edit_file("a.yaml", MARKED.encode(), evil).problem, "the second look finds it"
    monkeypatch.setattr(edit, "_check", lambda *_: None)
    content = edit_file("a.yaml", MARKED.encode(), evil).content
    assert content is not None and yaml.safe_load(content)["privileged"] is True


@attack(AREA, "Tag that reads as another type (`on`, `1e3`)", guard="commit/yaml_plain.py: such text is quoted",
        without="the field is no text any more")  # fmt: skip
@pytest.mark.parametrize("tag", ["on", "1e3", "10", "null", "2024-01-01", "0x10"])
def test_a_value_stays_text(tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'tag: v1 # {"$imagepolicy": "team-a:web:tag"}\n'
    policies = {"team-a:web": Ref("r.io/web", tag)}
    content = edit_file("a.yaml", text, policies).content
    assert content is not None and yaml.safe_load(content)["tag"] == tag
    monkeypatch.setattr(edit, "is_plain_scalar", lambda text: True)
    content = edit_file("a.yaml", text, policies).content
    # YAML 1.1 resolves all but exponents without a dot; Kubernetes' own reader resolves those too
    assert content is not None and (yaml.safe_load(content)["tag"] != tag or tag == "1e3")


@attack(AREA, "File with more tokens than any manifest", guard="markers.py MAX_TOKENS", without="all of it is read")
def test_a_file_is_read_within_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (MARKED + "a: [" + "x," * 5000 + "]\n").encode()
    monkeypatch.setattr(markers, "MAX_TOKENS", 5000)
    assert "tokens" in edit_file("a.yaml", text, job().policies).problem
    monkeypatch.undo()
    assert edit_file("a.yaml", text, job().policies).content


@attack(AREA, "File nested deeper than any manifest", guard="markers.py MAX_DEPTH", without="all of it is read")
def test_a_file_is_nested_within_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (MARKED + "a: " + "[" * 150 + "]" * 150 + "\n").encode()
    assert "levels" in edit_file("a.yaml", text, job().policies).problem
    monkeypatch.setattr(markers, "MAX_DEPTH", 1000)
    assert edit_file("a.yaml", text, job().policies).content


@attack(
    AREA,
    "File larger than any manifest",
    guard="commit/visit.py: files over MAX_FILE are not read",
    without="it is read",
)
def test_a_large_file_is_not_read(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.work / "apps/big.yaml").write_text(MARKED + "# x\n" * 100)
    host.commit()
    monkeypatch.setattr(work, "MAX_FILE", 200)
    assert host.visit(job("apps", allow=lambda paths: dict.fromkeys(paths, "look only"))).refused == (
        ("apps/a.yaml", "look only"),
    )
    monkeypatch.undo()
    assert len(host.visit(job("apps", allow=lambda paths: dict.fromkeys(paths, "look only"))).refused) == 2


@attack(AREA, "filterTags.pattern that takes for ever in other engines", guard="RE2: look-around and back references"
        " are refused, time is linear", without="Python's own engine takes them")  # fmt: skip
@pytest.mark.parametrize("pattern", [r"(?=a)a", r"(a+)\1", r"(?<!x)a"])
def test_patterns_without_end_are_refused(pattern: str) -> None:
    import re

    choice = SimpleNamespace(semver=None, alphabetical=SimpleNamespace(order="asc"), numerical=None)
    with pytest.raises(InvalidPolicyError, match=r"filterTags\.pattern"):
        compile_policy(choice, SimpleNamespace(pattern=pattern, extract=""))
    assert re.compile(pattern)
