"""The commit message: a Go template over what changed, and trailers that a machine can read. Pure.

The template sees `.AutomationObject`, `.Changed` (`.FileChanges`, `.Objects`, `.Changes`) and `.Values` as upstream has
them, in an order that never varies, and beside them `.Images`: what each policy resolved to and what it was before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from controllers.api.timestamps import timestamp
from controllers.image_automation.tags.reference import Ref
from controllers.templating import SPRIG, Ordered, StringMap, Struct, Template, TemplateError

from .setters import ObjectId, ScalarChange, TreeEdit

DEFAULT_MESSAGE = "Update from image update automation"
MAX_MESSAGE = 64 << 10
_REMOVED = re.compile(r"\{\{[^}]*?(\.Updated|\.Changed\.ImageResult)\b")


class InvalidMessageError(ValueError):
    """A template that does not parse or render."""


class RemovedTemplateFieldError(InvalidMessageError):
    """A template that uses a field which upstream took away."""


@dataclass(frozen=True, slots=True)
class Picked:
    """A policy's image as this commit writes it. `source_revision`: the image's own label, where it is known."""

    policy: str
    """`namespace/name`."""
    ref: Ref
    previous: Ref | None = None
    source_revision: str = ""
    pushed: int = 0
    """Second at which the image was pushed; 0 where the registry does not say."""


@dataclass(frozen=True, slots=True)
class Automation:
    """Whose commit it is."""

    namespace: str
    name: str


def render(
    template: str,
    *,
    automation: Automation,
    changed: TreeEdit,
    values: Mapping[str, str] | None = None,
    images: Sequence[Picked] = (),
) -> str:
    """The message. Raises InvalidMessageError, RemovedTemplateFieldError."""
    text = template or DEFAULT_MESSAGE
    removed = _REMOVED.search(text)
    if removed is not None:
        raise RemovedTemplateFieldError(
            f"spec.git.commit.messageTemplate: found {removed[1]}, which is no longer there; expected"
            " .Changed.FileChanges, .Changed.Objects or .Changed.Changes"
        )
    data = {
        "AutomationObject": Struct(
            {"Namespace": automation.namespace, "Name": automation.name},
            text=f"{automation.namespace}/{automation.name}",
            type_name="types.NamespacedName",
        ),
        "Changed": _changed(changed),
        "Values": StringMap(values or {}),
        "Images": [_image(one) for one in images],
    }
    try:
        message = Template.parse(text, name="commit message", functions=SPRIG).render(
            Struct(data, type_name="source.TemplateData")
        )
    except TemplateError as error:
        raise InvalidMessageError(f"spec.git.commit.messageTemplate: {error}") from None
    if len(message) > MAX_MESSAGE:
        raise InvalidMessageError(
            f"spec.git.commit.messageTemplate: found {len(message)} characters, expected {MAX_MESSAGE}"
        )
    return message


def _changed(edit: TreeEdit) -> Struct:
    per_file: dict[str, Any] = {}
    per_object: dict[Struct, list[Struct]] = {}
    flat: dict[ScalarChange, None] = {}
    for file in edit.files:
        if not file.changes:
            continue
        objects: dict[Struct, list[Struct]] = {}
        for change in file.changes:
            identity = _identity(change.object)
            objects.setdefault(identity, []).append(_change(change))
            per_object.setdefault(identity, []).append(_change(change))
            flat[ScalarChange(change.old, change.new, change.setter, ObjectId(), 0)] = None
        per_file[file.path] = Ordered(sorted(objects.items(), key=lambda item: tuple(item[0].fields.values())))
    ordered = Ordered(sorted(per_object.items(), key=lambda item: tuple(item[0].fields.values())))
    return Struct(
        {"FileChanges": per_file},
        methods={"Objects": lambda: ordered, "Changes": lambda: [_change(change) for change in flat]},
        type_name="update.ResultV2",
    )


def _identity(one: ObjectId) -> Struct:
    fields = {"APIVersion": one.api_version, "Kind": one.kind, "Namespace": one.namespace, "Name": one.name}
    return Struct(fields, type_name="update.ObjectIdentifier")


def _change(one: ScalarChange) -> Struct:
    return Struct({"OldValue": one.old, "NewValue": one.new, "Setter": one.setter}, type_name="update.Change")


def _image(one: Picked) -> Struct:
    previous = one.previous or Ref("", "")
    return Struct(
        {
            "Policy": one.policy,
            "Name": one.ref.name,
            "Tag": one.ref.tag,
            "Digest": one.ref.digest,
            "PreviousTag": previous.tag,
            "PreviousDigest": previous.digest,
            "SourceRevision": one.source_revision,
            "PushedAt": timestamp(datetime.fromtimestamp(one.pushed, UTC)) if one.pushed else "",
        },
        text=one.ref.image,
        type_name="Image",
    )


def commit_trailers(automation: Automation, images: Sequence[Picked]) -> list[tuple[str, str]]:
    """What every commit of ours ends with: who made it, and policy, image and revision of each image written."""
    lines = [("Image-Update-Automation", f"{automation.namespace}/{automation.name}")]
    for one in sorted(images, key=lambda image: image.policy):
        lines.append(("Image-Policy", f"{one.policy} {one.ref.image}"))
        if one.previous is not None and one.previous != one.ref:
            lines.append(("Previous-Image", f"{one.policy} {one.previous.image}"))
        if one.source_revision:
            lines.append(("Image-Source-Revision", f"{one.policy} {one.source_revision}"))
    return lines


def push_summary(*, branch: str, commit: str, message: str, refspecs: Sequence[str] = ()) -> str:
    """What condition and event say of a push. Raises ValueError without a commit."""
    if not commit:
        raise ValueError("a push without a commit")
    text = f"pushed commit '{commit[:7]}' to branch '{branch}'"
    if refspecs:
        text += f" and using refspecs '{', '.join(refspecs)}'"
    return f"{text}\n{message}" if message else text
