"""The attacks of the other files once more, through the whole controller, by a tenant: a clear condition, nothing done.

Every Kustomization stands on a directory of one repository, every GitRepository on a host of the tenant's choice. Each
must end with Ready=False and words that name the cause, and the namespace must hold nothing afterwards. That the same
manager works is shown by one Kustomization that is as it should be.
"""

from __future__ import annotations

from typing import Any

import pytest

from controllers.api.core import CONFIGMAPS
from controllers.api.source import GIT_REPOSITORIES
from controllers.lang.yaml_dump import dump
from controllers.runtime.conditions import find
from controllers.runtime.kube import Invalid
from tests.attacks import test_kustomize_build, test_texts
from tests.attacks.test_tenants import strict
from tests.integration.kustomization.conftest import World, configmap, running, world

__all__ = ["world"]


def paths() -> dict[str, dict[str, str]]:
    """Directory → its files. All attacks of `test_kustomize_build.py` and bombs, each in a directory of its own."""
    reads, fields = test_kustomize_build.READS, test_kustomize_build.FIELDS
    kustomizations = {f"read-{at}": reads[name]("../../theirs") for at, name in enumerate(reads)}
    for at, name in enumerate(fields):
        kustomizations[f"url-{at}"] = fields[name]("http://169.254.169.254/latest")
        kustomizations[f"git-{at}"] = fields[name]("git::file:///srv/other-tenant")
    kustomizations["helm"] = {"helmCharts": [{"name": "x", "repo": "https://evil.invalid"}]}
    kustomizations["plugin"] = {"generators": ["apiVersion: evil/v1\nkind: Exec\nmetadata: {name: x}\n"]}
    found = {}
    for name, content in kustomizations.items():
        whole = content if "resources" in content else {"resources": ["cm.yaml"], **content}
        found[name] = {"kustomization.yaml": dump(whole), "cm.yaml": configmap(name)}
    plain = {
        "aliases": test_texts.BOMB, "nested": "[" * 5000, "cut": "a: [", "substitution": configmap("s", x="${A:=" * 30),
        "output": configmap("s", x="${V}" * 400), "no-object": "a: 1\n",
        "twice": configmap("t") + "---\n" + configmap("t"),
        "token": "apiVersion: v1\nkind: Secret\nmetadata: {name: t, namespace: mallory, annotations: "
        "{kubernetes.io/service-account.name: default}}\ntype: kubernetes.io/service-account-token\n",
    }  # fmt: skip
    return found | {name: {"cm.yaml": text} for name, text in plain.items()} | {"good": {"cm.yaml": configmap("good")}}


SPECS: dict[str, dict[str, Any]] = {
    "up": {"path": "../../etc"}, "absolute": {"path": "/etc"},
    "component": {"path": "good", "components": ["https://evil.invalid/x"]},
    "component-up": {"path": "good", "components": ["../../x"]},
    "patch": {"path": "good", "patches": [{"patch": "x: [", "target": {"kind": "ConfigMap"}}]},
    "source": {"path": "good", "sourceRef": {"kind": "GitRepository", "name": "fleet", "namespace": "other"}},
    "dependency": {"path": "good", "dependsOn": [{"name": "x", "namespace": "other"}]},
    "ready": {"path": "good", "dependsOn": [{"name": "good", "readyExpr": "'x'.matches('(')"}]},
    "account": {"path": "good", "serviceAccountName": "system:masters"},
    "kubeconfig": {"path": "good", "kubeConfig": {"secretRef": {"name": "admin"}}},
}  # fmt: skip
"""What is wrong with the Kustomization and not with what lies in Git."""
VARIABLES = {"postBuild": {"substitute": {"V": "a" * 50_000}}, "targetNamespace": "mallory"}
HOSTS: dict[str, dict[str, Any]] = {
    "metadata": {"url": "https://169.254.169.254/x"}, "wrapped": {"url": "https://[::ffff:a9fe:a9fe]/x"},
    "decimal": {"url": "https://2852039166/x"}, "plain-http": {"url": "http://127.0.0.1/x"},
    "user": {"url": "https://u:p@127.0.0.1/x"}, "option": {"url": "ssh://-oProxyCommand=id/x"},
    "branch": {"ref": {"branch": "--upload-pack=id"}}, "name": {"ref": {"name": "refs/heads/../../config"}},
    "tag": {"ref": {"tag": "-x"}}, "stray": {"ref": {"branch": "main", "commit": "STRAY"}},
    "range": {"ref": {"semver": "1 || ("}}, "patterns": {"ignore": "*x\n" * 3000},
}  # fmt: skip
INVALID = ["file:///srv/other", "ext::sh -c id", "git::https://h/x", "git@h:o/r", "/srv/other"]


def ready(manifest: dict[str, Any]) -> dict[str, Any]:
    return find(manifest["status"], "Ready") or {}


async def test_every_attack_ends_in_a_clear_condition_and_nothing_is_applied(world: World) -> None:
    for name in ("mallory", "other"):
        await world.tenant(name)
        await world.git.create_repo(name, {"README": name})
    files = {f"{directory}/{name}": text for directory, inside in paths().items() for name, text in inside.items()}
    await world.git.create_repo("fleet", files)
    await world.git.git("fleet", "branch", "pull", "main")
    stray = await world.git.commit("fleet", {"evil": "1"}, branch="pull")
    for name in ("mallory", "other"):
        await world.repository(name)
    for url in INVALID:
        with pytest.raises(Invalid, match=r"spec\.url"):
            await world.make(GIT_REPOSITORIES, "x", "mallory", spec={"url": url, "interval": "1m"})
    for name, fields in HOSTS.items():
        spec = {"url": world.git.https_url("fleet"), "interval": "10m", "secretRef": {"name": "git"}, **fields}
        if name == "stray":
            spec["ref"] = {"branch": "main", "commit": stray}
        await world.make(GIT_REPOSITORIES, name, "mallory", spec=spec)
    async with running(strict(world)):
        for name in HOSTS:
            found = await world.condition(name, "mallory", "False", resource=GIT_REPOSITORIES)
            assert ready(found)["message"] and "artifact" not in found["status"], name
        await world.condition("fleet", "mallory", "True", resource=GIT_REPOSITORIES)
        wrong = [name for name in paths() if name != "good"]
        for name in wrong:
            more = VARIABLES if name in ("substitution", "output") else {}
            await world.kustomization(name, "mallory", name, retryInterval="10m", **more)
        for name, fields in SPECS.items():
            await world.kustomization(f"spec-{name}", "mallory", **{"retryInterval": "10m", **fields})
        for name in [*wrong, *(f"spec-{name}" for name in SPECS)]:
            found = await world.condition(name, "mallory", "False")
            text = ready(found)["message"]
            assert (
                "no artifact yet" not in text
                and len(text) > 15
                and "Traceback" not in text
                and test_kustomize_build.MARK not in text
            ), (name, text)
            assert name != "token" or ready(found)["reason"] == "AccessDenied"
            assert "inventory" not in found["status"] or not found["status"]["inventory"]["entries"], name
        assert [each["metadata"]["name"] for each in (await world.kube.list(CONFIGMAPS, "mallory")).items
                if each["metadata"]["name"] != "kube-root-ca.crt"] == []  # fmt: skip
        await world.kustomization("good", "mallory", "good", targetNamespace="mallory")
        await world.condition("good", "mallory", "True")
        assert await world.data("good", "mallory") == {}
