"""Living beside upstream: what is ours, and when we refuse to start."""

from __future__ import annotations

from typing import Any

from controllers.api.bitnami import SEALED_SECRETS
from controllers.api.external_secrets import EXTERNAL_SECRETS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.source import GIT_REPOSITORIES
from controllers.runtime.ownership import owns_store, rivals, selector
from controllers.runtime.settings import ClaimSettings

ALL, LABELLED = ClaimSettings(), ClaimSettings(mode="labelled")


def deployment(component: str = "", name: str = "", replicas: int = 1) -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": component, "app.kubernetes.io/name": name}
    meta = {"name": component or name, "namespace": "flux-system", "labels": {k: v for k, v in labels.items() if v}}
    return {"metadata": meta, "spec": {"replicas": replicas}}


def test_labelled_watches_by_the_sharding_label_and_all_watches_everything() -> None:
    assert selector(LABELLED, KUSTOMIZATIONS) == "sharding.fluxcd.io/key=inhaul"
    assert selector(LABELLED, SEALED_SECRETS) == "sharding.fluxcd.io/key=inhaul"
    assert selector(LABELLED, EXTERNAL_SECRETS) == ""
    assert selector(ALL, KUSTOMIZATIONS) == ""


def test_a_store_names_its_controller() -> None:
    assert owns_store(ALL, {})
    assert owns_store(ALL, {"controller": "inhaul"})
    assert not owns_store(ALL, {"controller": "other"})
    assert owns_store(LABELLED, {"controller": "inhaul"})
    assert not owns_store(LABELLED, {})


def test_all_is_refused_beside_a_rival_of_the_same_kinds_only() -> None:
    running = [
        deployment("kustomize-controller"),
        deployment(name="external-secrets"),
        deployment("source-controller", replicas=0),
    ]
    found = rivals(ALL, [KUSTOMIZATIONS], running)
    assert len(found) == 1
    assert "flux-system/kustomize-controller" in found[0]
    assert "--replicas=0" in found[0]
    assert "--claim=labelled" in found[0]
    assert len(rivals(ALL, [KUSTOMIZATIONS, EXTERNAL_SECRETS, GIT_REPOSITORIES], running)) == 2
    assert rivals(LABELLED, [KUSTOMIZATIONS, EXTERNAL_SECRETS], running) == []


def test_with_sources_read_a_source_controller_is_welcome() -> None:
    running = [deployment("source-controller")]
    assert rivals(ALL, [GIT_REPOSITORIES], running)
    assert rivals(ClaimSettings(sources="read"), [GIT_REPOSITORIES], running) == []
