"""`spec.components` and `spec.images`, merged into a kustomization file's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from controllers.api.resource import Manifest

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")
_HOST = re.compile(r"^(www\.)?github\.com[/:]|^[^/]*@[^/]*[:/]", re.IGNORECASE)
"""What kustomize reads as a repository although it has no scheme: `github.com/…` and `user@host:…`."""


class NotLocalError(ValueError):
    """A component that is not a path inside the repository."""


def is_local_relative_path(path: str) -> bool:
    """Is it a relative path, and nothing that kustomize could take for a URL, a Git address or a host?"""
    if not path or path.startswith(("/", "\\")) or "\x00" in path:
        return False
    return not (_SCHEME.match(path) or "://" in path or "::" in path or _HOST.match(path))


def merge_components(
    existing: Sequence[str], added: Sequence[str], *, exists: Callable[[str], bool], ignore_missing: bool = False
) -> list[str]:
    """The file's components, then those of the spec. Raises NotLocalError; missing ones are dropped if asked to."""
    merged = list(existing)
    for path in added:
        if not is_local_relative_path(path):
            raise NotLocalError(f"spec.components: found {path!r}, expected a relative path inside the repository")
        if path not in merged and (not ignore_missing or exists(path)):
            merged.append(path)
    return merged


def merge_images(existing: Sequence[Manifest], added: Sequence[Mapping[str, str]]) -> list[Manifest]:
    """Image overrides by name, field by field; tag and digest are one: setting either drops what stood for both."""
    merged = [dict(image) for image in existing]
    for override in added:
        image = next((image for image in merged if image.get("name") == override.get("name")), None)
        if image is None:
            merged.append({key: value for key, value in override.items() if value})
            continue
        if override.get("newName"):
            image["newName"] = override["newName"]
        if override.get("newTag") or override.get("digest"):
            for key in ("newTag", "digest"):
                image.pop(key, None)
                if override.get(key):
                    image[key] = override[key]
    return merged
