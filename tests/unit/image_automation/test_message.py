from __future__ import annotations

import pytest

from controllers.git import trailers, with_trailers
from controllers.image_automation.commit.message import (
    Automation,
    InvalidMessageError,
    Picked,
    RemovedTemplateFieldError,
    commit_trailers,
    render,
)
from controllers.image_automation.commit.setters import FileEdit, ObjectId, ScalarChange, TreeEdit
from controllers.image_automation.tags.reference import Ref

WHO = Automation("ns", "auto")
WEB = ObjectId("apps/v1", "Deployment", "shop", "web")
EDIT = TreeEdit(
    (
        FileEdit("b.yaml", b"", (ScalarChange("1", "2", "ns:p", WEB, 1), ScalarChange("1", "2", "ns:p", WEB, 2))),
        FileEdit("a.yaml", b"", (ScalarChange("x", "y", "ns:q", ObjectId("v1", "Pod", "", "p"), 1),)),
    )
)


def test_changes_come_once_each_and_in_one_order() -> None:
    template = "{{ range .Changed.Changes }}{{ .OldValue }}>{{ .NewValue }} {{ .Setter }};{{ end }}"
    assert render(template, automation=WHO, changed=EDIT) == "1>2 ns:p;x>y ns:q;"
    template = "{{ range $o, $c := .Changed.Objects }}{{ $o.Kind }}/{{ $o.Name }}:{{ len $c }} {{ end }}"
    assert render(template, automation=WHO, changed=EDIT) == "Deployment/web:2 Pod/p:1 "


def test_images_give_digest_and_what_was_before() -> None:
    image = Picked("ns/p", Ref("r/i", "2", "sha256:d"), Ref("r/i", "1"), "abc", 1_700_000_000)
    template = "{{ range .Images }}{{ . }} from {{ .PreviousTag }} at {{ .SourceRevision }}, {{ .PushedAt }}{{ end }}"
    said = render(template, automation=WHO, changed=EDIT, images=[image])
    assert said == "r/i:2@sha256:d from 1 at abc, 2023-11-14T22:13:20Z"
    assert commit_trailers(WHO, [image]) == [
        ("Image-Update-Automation", "ns/auto"),
        ("Image-Policy", "ns/p r/i:2@sha256:d"),
        ("Previous-Image", "ns/p r/i:1"),
        ("Image-Source-Revision", "ns/p abc"),
    ]


@pytest.mark.parametrize("template", ["{{ .Updated.Images }}", "{{ range .Changed.ImageResult.Files }}{{ end }}"])
def test_removed_fields_are_named(template: str) -> None:
    with pytest.raises(RemovedTemplateFieldError, match=r"messageTemplate: found \."):
        render(template, automation=WHO, changed=EDIT)


@pytest.mark.parametrize("template", ["{{", "{{ .Nope }}", "{{ range $i := until 100000000 }}x{{ end }}"])
def test_a_template_that_fails_names_its_field(template: str) -> None:
    with pytest.raises(InvalidMessageError, match=r"spec\.git\.commit\.messageTemplate"):
        render(template, automation=WHO, changed=EDIT)


def test_trailers_are_read_back_as_they_were_written_and_join_those_of_the_template() -> None:
    message = with_trailers("Subject\n\nBody: x\nmore", [("A-B", "1"), ("C", "two\nlines")])
    assert message == "Subject\n\nBody: x\nmore\n\nA-B: 1\nC: two lines\n"
    assert trailers(message) == [("A-B", "1"), ("C", "two lines")]
    joined = with_trailers("S\n\nSigned-off-by: A <a@b>\n", [("X", "y")])
    assert trailers(joined) == [("Signed-off-by", "A <a@b>"), ("X", "y")]
    assert trailers("only a subject: x") == []
