"""Writes the example fleet: sixty teams on three clusters, laid out as clusters/, tenants/ and infrastructure/.

`python kustomize/examples/generate.py [--check]`. A team has a namespace, a service account that may do everything
inside it and nothing else, its repository, and one Kustomization applied as that account. Clusters differ by a patch:
drift is reverted in dev and staging, and held in prod.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
TEAMS = [f"team-{number:02}" for number in range(1, 61)]
CLUSTERS = {"dev": "Revert", "staging": "Revert", "prod": "Alert"}
BUILD = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"

TENANT = """apiVersion: v1
kind: Namespace
metadata:
  name: {team}
  labels:
    fleet.example.com/tenant: {team}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: reconciler
  namespace: {team}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: reconciler
  namespace: {team}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: fleet-tenant
subjects:
  - kind: ServiceAccount
    name: reconciler
    namespace: {team}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata:
  name: apps
  namespace: {team}
spec:
  interval: 1m
  url: https://git.example.com/{team}/apps.git
  ref:
    branch: main
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: apps
  namespace: {team}
spec:
  interval: 10m
  path: ./deploy
  prune: true
  wait: true
  targetNamespace: {team}
  serviceAccountName: reconciler
  sourceRef:
    kind: GitRepository
    name: apps
"""

ROLE = """# What a tenant's service account may do in its own namespace. No quota, no role and no binding: those are the
# platform's.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: fleet-tenant
rules:
  - apiGroups: ["", apps, batch, autoscaling, policy, networking.k8s.io]
    resources:
      - configmaps
      - secrets
      - services
      - serviceaccounts
      - persistentvolumeclaims
      - pods
      - deployments
      - statefulsets
      - daemonsets
      - replicasets
      - jobs
      - cronjobs
      - horizontalpodautoscalers
      - poddisruptionbudgets
      - ingresses
      - networkpolicies
    verbs: [get, list, watch, create, update, patch, delete]
  - apiGroups: [external-secrets.io]
    resources: [externalsecrets, secretstores]
    verbs: [get, list, watch, create, update, patch, delete]
  - apiGroups: [bitnami.com]
    resources: [sealedsecrets]
    verbs: [get, list, watch, create, update, patch, delete]
"""

CLUSTER = """# The platform's own: it makes namespaces, roles and the teams' accounts, and acts as an account that may.
apiVersion: v1
kind: Namespace
metadata:
  name: flux-system
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: platform
  namespace: flux-system
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: fleet-platform
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: cluster-admin
subjects:
  - kind: ServiceAccount
    name: platform
    namespace: flux-system
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata:
  name: fleet
  namespace: flux-system
spec:
  interval: 1m
  url: https://git.example.com/platform/fleet.git
  ref:
    branch: main
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: infrastructure
  namespace: flux-system
spec:
  interval: 10m
  path: ./infrastructure
  prune: true
  serviceAccountName: platform
  sourceRef:
    kind: GitRepository
    name: fleet
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: tenants
  namespace: flux-system
  annotations:
    # a mistake in the list of tenants must not delete many of them
    kustomize.inhaul.dev/max-deletes: "5%"
spec:
  interval: 10m
  path: ./tenants
  prune: true
  serviceAccountName: platform
  dependsOn:
    - name: infrastructure
  sourceRef:
    kind: GitRepository
    name: fleet
  patches:
    - target:
        kind: Kustomization
      patch: |
        - op: add
          path: /metadata/annotations
          value:
            drift.inhaul.dev/mode: {mode}
"""


def wanted() -> dict[str, str]:
    """Every file by its path."""
    found = {f"tenants/{team}.yaml": TENANT.format(team=team) for team in TEAMS}
    found["tenants/kustomization.yaml"] = BUILD + _resources(f"{team}.yaml" for team in TEAMS)
    found["infrastructure/role.yaml"] = ROLE
    found["infrastructure/kustomization.yaml"] = BUILD + _resources(["role.yaml"])
    for cluster, mode in CLUSTERS.items():
        found[f"clusters/{cluster}/fleet.yaml"] = CLUSTER.format(mode=mode)
        found[f"clusters/{cluster}/kustomization.yaml"] = BUILD + _resources(["fleet.yaml"])
    return found


def _resources(names: Iterable[str]) -> str:
    return "resources:\n" + "".join(f"  - {name}\n" for name in names)


def main() -> int:
    differing = [
        path for path, text in wanted().items() if not (HERE / path).is_file() or (HERE / path).read_text() != text
    ]
    if "--check" in sys.argv:
        print("\n".join(differing))
        return 1 if differing else 0
    for path in differing:
        (HERE / path).parent.mkdir(parents=True, exist_ok=True)
        (HERE / path).write_text(wanted()[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
