"""`inhaul image`: the same rules, asked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.cli import main

_POLICY = """\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata:
  name: web
  namespace: team-a
  annotations: {image.inhaul.dev/ignore-tags: "*-debug"}
spec:
  imageRepositoryRef: {name: web}
  filterTags: {pattern: '^v(?P<v>.*)$', extract: $v}
  policy: {semver: {range: ">=1.0.0-0"}}
"""
_REPOSITORY = """\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: web, namespace: team-a}
spec: {image: r.io/web, interval: 1h}
"""


def test_explain_names_the_pick_and_why_each_other_tag_is_not_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy.yaml").write_text(_POLICY)
    (tmp_path / "tags").write_text("v1.0.0\nv1.2.0\nv1.3.0-debug\nlatest\nv0.9.0\n")
    assert main(["image", "explain", str(tmp_path / "policy.yaml"), "--tags", str(tmp_path / "tags")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["picked   v1.2.0", "kept     v1.0.0"]
    assert "rejected v1.3.0-debug: is ignored (ignore-tags)" in lines
    assert "rejected v0.9.0: is not in the range >=1.0.0-0" in lines
    assert "rejected latest: does not match filterTags.pattern" in lines


def test_plan_prints_the_diff_of_marked_scalars_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marked = 'image: r.io/web:v1.0.0 # {"$imagepolicy": "team-a:web"}\n\nx:   1\ny: a # {"$imagepolicy": "team-a:no"}\n'
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "app.yaml").write_text(marked)
    (tmp_path / "repo" / "images.yaml").write_text(f"{_POLICY}---\n{_REPOSITORY}")
    (tmp_path / "tags").write_text("r.io/web:v1.0.0\nr.io/web:v1.4.0\nr.io/other:v9.0.0\n")
    assert main(["image", "plan", "-f", str(tmp_path / "repo"), "--tags", str(tmp_path / "tags")]) == 0
    out = capsys.readouterr()
    assert '+image: r.io/web:v1.4.0 # {"$imagepolicy": "team-a:web"}' in out.out.splitlines()
    assert [line for line in out.out.splitlines() if line.startswith("-")] == [
        "--- a/app.yaml",
        '-image: r.io/web:v1.0.0 # {"$imagepolicy": "team-a:web"}',
    ]
    assert "app.yaml:4" in out.err
    assert (tmp_path / "repo" / "app.yaml").read_text() == marked


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        (["explain", "nowhere.yaml"], "nowhere.yaml"),
        (["scan", "https://r.io/web"], "URL scheme"),
        (["scan", "169.254.169.254/web"], "metadata"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(
    words: list[str], holds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["image", *words]) == 1
    assert holds in capsys.readouterr().err
