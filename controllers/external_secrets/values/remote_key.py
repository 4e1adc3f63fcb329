"""One value at a provider."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class RemoteKey:
    """What a fetch is asked for, and what values are shared by.

    `service` is the provider's name. `name` has the store's prefix. `version` is "" for the current one, else as the
    provider writes it (a stage such as `AWSPREVIOUS`, `uuid/<id>`, a parameter's version or label). `tags`: the tags
    instead of the value.
    """

    service: str
    name: str
    version: str = ""
    tags: bool = False

    @property
    def pinned(self) -> bool:
        """Anything but the current version: batches cannot ask for it."""
        return bool(self.version) or self.tags

    @property
    def shown(self) -> str:
        return self.name if not self.version else f"{self.name} ({self.version})"
