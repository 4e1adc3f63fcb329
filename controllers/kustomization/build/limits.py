"""What one build may cost. Each limit is a setting, and the refusal names it.

The defaults are an order of magnitude above what the ecosystem ships: the largest release files of operators have some
5 MB, and large fleets some thousands of files.
"""

from __future__ import annotations

from dataclasses import dataclass


class BuildLimitError(ValueError):
    """A build beyond a limit. The message says what was found, the limit and the setting that raises it."""

    def __init__(self, where: str, found: str, most: str, setting: str) -> None:
        super().__init__(f"{where}found {found}, expected at most {most}; to raise the limit: {setting}")


@dataclass(frozen=True, slots=True)
class BuildLimits:
    """Sizes in bytes."""

    file_size: int = 64 << 20
    files: int = 50_000
    size: int = 512 << 20
    objects: int = 50_000
    output: int = 512 << 20
    timeout: float = 120.0
    """Seconds for one run of kustomize."""

    def check_file(self, path: str, size: int) -> None:
        if size > self.file_size:
            raise BuildLimitError(
                f"{path}: ", mebibytes(size), mebibytes(self.file_size), "--kustomization-build-file-size"
            )

    def check_files(self, where: str, count: int, size: int) -> None:
        if count > self.files:
            raise BuildLimitError(where, f"{count} files", str(self.files), "--kustomization-build-files")
        if size > self.size:
            raise BuildLimitError(
                where, f"{mebibytes(size)} of files", mebibytes(self.size), "--kustomization-build-size"
            )

    def check_objects(self, count: int) -> None:
        if count > self.objects:
            raise BuildLimitError("", f"{count} objects", str(self.objects), "--kustomization-build-objects")


def mebibytes(size: int) -> str:
    """A size rounded up to a tenth of a MiB."""
    tenths = -(-size * 10 // (1 << 20))
    return f"{tenths // 10}.{tenths % 10} MiB" if tenths % 10 else f"{tenths // 10} MiB"


DEFAULT_LIMITS = BuildLimits()
