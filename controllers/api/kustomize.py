"""`kustomize.toolkit.fluxcd.io/v1`: Kustomization."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .base import Bool, Fields, Format, Implied, Int, Rule, SchemaDefault
from .meta import Duration, FluxStatus, LocalRef, Strings, Time
from .resource import Resource

KUSTOMIZATIONS = Resource("kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "Kustomization")


class CommonMetadata(Fields):
    """Labels and annotations that every object gets, over its own."""

    annotations: Strings = {}
    labels: Strings = {}


class Dependency(Fields):
    """A Kustomization that must be ready first."""

    name: str
    namespace: str = ""
    ready_expr: str = ""
    """CEL over `self` and `dep` in place of the usual test."""


class Decryption(Fields):
    """How encrypted files and Secrets are opened."""

    provider: Literal["sops"]
    secret_ref: LocalRef | None = None
    """Keys: `*.agekey`, `*.asc`, `sops.aws-kms` and the other providers' credentials."""
    service_account_name: str = ""
    """The service account that authenticates to a cloud's KMS."""


class SecretKeyRef(Fields):
    """A Secret and the key in it; default: `value`, then `value.yaml`."""

    name: str
    key: str = ""


class KubeConfigRef(Fields):
    """The cluster to apply to, where it is not this one."""

    config_map_ref: LocalRef | None = None
    """Provider, cluster, address: a cluster that cloud credentials open."""
    secret_ref: SecretKeyRef | None = None
    """A kubeconfig file."""

    cel: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.configMapRef) || has(self.secretRef)",
            "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified",
        ),
        Rule(
            "!has(self.configMapRef) || !has(self.secretRef)",
            "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified",
        ),
    )


class SubstituteRef(Fields):
    """A ConfigMap or Secret whose data are variables."""

    kind: Literal["Secret", "ConfigMap"]
    name: Annotated[str, Field(min_length=1, max_length=253)]
    optional: Annotated[Bool, SchemaDefault(False)] = False


class PostBuild(Fields):
    """Variables to put into the built objects."""

    substitute: Strings = {}
    substitute_from: tuple[SubstituteRef, ...] = ()
    """In order: a later one wins; `substitute` wins over all."""
    substitute_strategy: Annotated[Literal["Always", "WithVariables"], Implied()] = "WithVariables"
    """`Always` substitutes where there are no variables too."""


class HealthCheck(Fields):
    """An object whose health is waited for."""

    api_version: str = ""
    kind: str
    name: str
    namespace: str = ""


class HealthCheckExpr(Fields):
    """How the health of a kind is read, in CEL over the object."""

    api_version: str
    kind: str
    current: str
    in_progress: str = ""
    failed: str = ""


class Selector(Fields):
    """Objects by group, version, kind, name, namespace (regular expressions) and by label and annotation selectors."""

    group: str = ""
    version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    label_selector: str = ""
    annotation_selector: str = ""


class Patch(Fields):
    """A strategic merge or JSON patch as YAML text."""

    patch: str
    target: Selector | None = None


class Image(Fields):
    """A new name, tag or digest for an image."""

    name: str
    new_name: str = ""
    new_tag: str = ""
    digest: str = ""
    """Wins over newTag."""


class IgnoreRule(Fields):
    """Fields that others own."""

    paths: tuple[str, ...]
    """JSON pointers."""
    target: Selector | None = None
    """Default: all objects."""


class SourceRef(Fields):
    """Where the files come from."""

    api_version: str = ""
    kind: Literal["OCIRepository", "GitRepository", "Bucket", "ExternalArtifact"]
    name: str
    namespace: str = ""


class KustomizationSpec(Fields):
    """A directory of a source, built by kustomize and kept applied."""

    source_ref: SourceRef
    path: str = ""
    """Default: the source's root."""
    interval: Duration
    """Between two looks at what is applied."""
    retry_interval: Duration | None = None
    """After a failure; default: interval."""
    timeout: Duration | None = None
    """Of apply and health checks; default: interval less 30 s, at least 30 s."""
    prune: Bool
    """Delete what is no longer in the source."""
    deletion_policy: Annotated[Literal["MirrorPrune", "Delete", "WaitForTermination", "Orphan"], Implied()] = (
        "MirrorPrune"
    )
    """What happens to the objects when the Kustomization is deleted."""
    service_account_name: str = ""
    """The account in whose name everything is applied; default: the namespace's `default`."""
    suspend: Bool = False
    force: Annotated[Bool, SchemaDefault(False)] = False
    """Re-create an object when an immutable field changed."""
    wait: Bool = False
    """Wait for the health of all objects."""
    depends_on: tuple[Dependency, ...] = ()
    decryption: Decryption | None = None
    kube_config: KubeConfigRef | None = None
    target_namespace: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    common_metadata: CommonMetadata | None = None
    name_prefix: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    name_suffix: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    patches: tuple[Patch, ...] = ()
    images: tuple[Image, ...] = ()
    components: tuple[str, ...] = ()
    """Paths of kustomize components, relative to `path`."""
    ignore_missing_components: Bool = False
    build_metadata: tuple[Literal["originAnnotations", "transformerAnnotations"], ...] = ()
    post_build: PostBuild | None = None
    health_checks: tuple[HealthCheck, ...] = ()
    """Objects to wait for; without effect where `wait` is set."""
    health_check_exprs: tuple[HealthCheckExpr, ...] = ()
    ignore: tuple[IgnoreRule, ...] = ()
    """Fields left to others in drift detection and apply."""


class InventoryEntry(Fields):
    """One applied object."""

    id: str
    """`<namespace>_<name>_<group>_<kind>`."""
    v: str
    """The version of its API."""


class Inventory(Fields):
    """What is applied, and so what may be pruned."""

    entries: tuple[InventoryEntry, ...]


class Snapshot(Fields):
    """One built state and how applying it went."""

    digest: str
    first_reconciled: Time
    last_reconciled: Time
    last_reconciled_duration: str
    last_reconciled_status: str
    total_reconciliations: Annotated[Int, Format("int64")]
    metadata: Strings = {}


class KustomizationStatus(FluxStatus):
    """The revision that is applied, and what belongs to it."""

    last_applied_revision: str = ""
    last_applied_origin_revision: str = ""
    last_attempted_revision: str = ""
    inventory: Inventory | None = None
    history: tuple[Snapshot, ...] = ()
    """The last five, newest first."""


NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
