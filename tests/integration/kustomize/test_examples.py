"""The example fleet builds, and differs between clusters in what it says it differs in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from controllers.kustomization.build.render import Variables, find_source, render
from controllers.sources.tree import Node, Tree

EXAMPLES = Path(__file__).parents[3] / "kustomize" / "examples"


def tree() -> Tree:
    files = {str(each.relative_to(EXAMPLES)): each for each in EXAMPLES.rglob("*.yaml")}
    nodes = {path: Node(path, size=file.stat().st_size) for path, file in files.items()}
    return Tree(nodes, lambda paths: {path: files[path].read_bytes() for path in paths})


def test_the_files_are_what_the_generator_writes() -> None:
    subprocess.run([sys.executable, str(EXAMPLES / "generate.py"), "--check"], check=True, timeout=20)


def test_sixty_teams_are_applied_as_themselves_and_prod_holds_drift() -> None:
    modes = {}
    for cluster in ("dev", "staging", "prod"):
        documents = list(yaml.safe_load_all((EXAMPLES / f"clusters/{cluster}/fleet.yaml").read_text()))
        spec = next(each["spec"] for each in documents if each["metadata"]["name"] == "tenants")
        files = tree()
        objects = render(files, find_source(files, spec["path"], spec), spec, Variables()).objects
        apps = [each for each in objects if each["apiVersion"].startswith("kustomize.toolkit.fluxcd.io/")]
        assert len(apps) == 60
        assert len({each["metadata"]["namespace"] for each in apps}) == 60
        assert {each["spec"]["serviceAccountName"] for each in apps} == {"reconciler"}
        modes[cluster] = {each["metadata"]["annotations"]["drift.inhaul.dev/mode"] for each in apps}
    assert modes == {"dev": {"Revert"}, "staging": {"Revert"}, "prod": {"Alert"}}
