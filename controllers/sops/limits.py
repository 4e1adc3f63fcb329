"""How much of a file is read at all. Checked before any parser or child process sees the bytes."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import RefusedSyntaxError


@dataclass(frozen=True, slots=True)
class SopsLimits:
    size: int = 5 << 20
    """Bytes of a file (5 MiB, as Flux)."""
    nodes: int = 200_000
    """Mappings, lists and scalars of a file."""
    depth: int = 64
    """Nesting."""
    documents: int = 1_000
    """YAML documents of a file."""

    def check_size(self, data: bytes) -> None:
        if len(data) > self.size:
            raise RefusedSyntaxError("TooLarge", f"the file has {len(data)} bytes; at most {self.size} are read")
