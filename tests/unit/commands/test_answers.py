"""What the commands say without a cluster: plans between directories, causes, held fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from controllers.cli import main
from controllers.kustomization.drift.annotations import (
    InvalidAnnotationError,
    Release,
    RetainedField,
    after_release,
    read_held,
    write_held,
)
from controllers.kustomization.health.cause import Why, find

SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: x}\nstringData: {p: %s}\n"
CONFIG = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: x}\ndata: {v: '%s'}\n"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main([*words, "-o", "json"])
    return code, capsys.readouterr().out


def test_a_plan_between_directories_tells_every_action_and_no_value_of_a_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (
        ("old", SECRET % "hunter2" + CONFIG % ("a", "1") + CONFIG % ("gone", "1")),
        ("new", SECRET % "correct-horse" + CONFIG % ("a", "2") + CONFIG % ("added", "1")),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "all.yaml").write_text(text)
    code, out = run(capsys, "plan", str(tmp_path / "new"), "--against", str(tmp_path / "old"))
    actions = {each["object"]: each["action"] for each in json.loads(out)["changes"]}
    assert code == 1
    assert actions == {"Secret/x/s": "update", "ConfigMap/x/a": "update", "ConfigMap/x/added": "create",
                       "ConfigMap/x/gone": "delete"}  # fmt: skip
    for value in ("hunter2", "correct-horse", "aHVudGVyMg"):
        assert value not in out
    assert run(capsys, "diff", str(tmp_path / "new"), "--against", str(tmp_path / "new"))[0] == 0


def test_a_path_that_is_not_there_is_an_error_and_no_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", str(tmp_path / "nowhere"), "--against", str(tmp_path)]) == 2
    assert "no such file or directory" in capsys.readouterr().err


def pod(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    status = {"phase": "Pending", "containerStatuses": [{"name": "c", "image": "i:1", "state": state, **more}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "x", "uid": "u"},
            "status": status}  # fmt: skip


@pytest.mark.parametrize(
    ("state", "more", "kind", "text"),
    [
        ({"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}, {}, Why.IMAGE, "i:1"),
        ({"waiting": {"reason": "CreateContainerConfigError", "message": "couldn't find key k in Secret x/s"}}, {},
         Why.CONFIG, "couldn't find key k in Secret x/s"),
        ({"waiting": {"reason": "CrashLoopBackOff"}},
         {"lastState": {"terminated": {"exitCode": 3}}, "restartCount": 4}, Why.CRASH, "exit code 3"),
        ({"waiting": {"reason": "CrashLoopBackOff"}},
         {"lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}, Why.MEMORY, "out of memory"),
    ],
)  # fmt: skip
def test_a_pods_cause_names_what_is_to_be_mended(
    state: dict[str, Any], more: dict[str, Any], kind: Why, text: str
) -> None:
    found = find(pod(state, **more))
    assert found is not None
    assert found.kind is kind
    assert text in found.text


def test_held_fields_are_read_as_they_were_written_and_released_by_object_and_path() -> None:
    one, other = (RetainedField("x_a_apps_Deployment", path, "1", "2") for path in ("/spec/replicas", "/spec/paused"))
    text = write_held([one, other])
    assert text is not None
    assert read_held({"drift.inhaul.dev/held": text}) == sorted([one, other])
    assert after_release([one, other], [Release("x_a_apps_Deployment", "/spec/replicas")]) == [other]
    assert after_release([one, other], [Release()]) == []
    with pytest.raises(InvalidAnnotationError):
        read_held({"drift.inhaul.dev/held": "[1]"})
