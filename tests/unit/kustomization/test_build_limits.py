"""Releases of ordinary size build; beyond a limit the refusal names the limit and the setting that raises it."""

from __future__ import annotations

from dataclasses import fields

import pytest

from controllers.kustomization.build.limits import BuildLimitError, BuildLimits, mebibytes
from controllers.kustomization.build.render import render_files
from controllers.kustomization.builder import _limits_of
from controllers.kustomization.settings import KustomizationSettings

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d}\n"
OWN = b"resources: [x.yaml]"


def large(size: int, number: int = 0) -> bytes:
    line = "x" * 1000
    return (HEAD % number + "data:\n" + "".join(f"  k{at}: {line}\n" for at in range(size // 1010))).encode()


@pytest.mark.parametrize("own", [{}, {"app/kustomization.yaml": OWN}])
def test_a_release_file_of_six_megabytes_builds(own: dict[str, bytes]) -> None:
    assert len(render_files({"app/x.yaml": large(6_000_000), **own}, "app", {})) == 1


def test_many_large_config_maps_build() -> None:
    files = {f"app/{at}.yaml": large(450_000, at) for at in range(12)}
    assert len(render_files(files, "app", {})) == 12
    assert len(render_files(files, "app", {"namePrefix": "p-"})) == 12


@pytest.mark.parametrize("own", [{}, {"app/kustomization.yaml": b"resources: [x.yaml, y.yaml]"}])
@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        (BuildLimits(files=1), r"app: found [23] files, expected at most 1; .*--kustomization-build-files"),
        (BuildLimits(size=1_500), r"app: found 0\.1 MiB of files, .*--kustomization-build-size"),
        (BuildLimits(objects=1), r"found 2 objects, expected at most 1; .*--kustomization-build-objects"),
    ],
)  # fmt: skip
def test_a_build_beyond_a_limit_names_the_setting(limits: BuildLimits, problem: str, own: dict[str, bytes]) -> None:
    files = {"app/x.yaml": large(2_000, 1), "app/y.yaml": large(2_000, 2), **own}
    with pytest.raises(BuildLimitError, match=problem):
        render_files(files, "app", {}, limits=limits)
    assert len(render_files(files, "app", {})) == 2


def test_a_file_beyond_its_limit_is_named() -> None:
    with pytest.raises(BuildLimitError, match=r"app/x\.yaml: found 0\.2 MiB, .*--kustomization-build-file-size"):
        render_files({"app/x.yaml": large(200_000)}, "app", {}, limits=BuildLimits(file_size=100_000))


def test_every_limit_is_a_setting_with_the_same_default() -> None:
    settings = KustomizationSettings()
    assert _limits_of(settings) == BuildLimits()
    assert {f"build_{each.name}" for each in fields(BuildLimits)} <= {each.name for each in fields(settings)}


def test_sizes_are_rounded_up() -> None:
    assert [mebibytes(size) for size in (1, 1 << 20, (1 << 20) + 1, 64 << 20)] == [
        "0.1 MiB",
        "1 MiB",
        "1.1 MiB",
        "64 MiB",
    ]
