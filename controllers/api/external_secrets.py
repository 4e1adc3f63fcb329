"""`external-secrets.io/v1`: ExternalSecret and ClusterExternalSecret; the stores' models stand in `secret_stores`.

PushSecret (v1alpha1) is in `push_secrets`, the generators are in `generators`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .base import Bool, Fields, Implied, Nullable, OneOf, SchemaDefault
from .meta import DataKey, DnsLabel, DnsName, LabelSelector, Strings, Time
from .resource import Resource
from .secret_stores import AWSProvider, SecretStoreSpec, SecretStoreStatus, StatusCondition

__all__ = ["AWSProvider", "SecretStoreSpec", "SecretStoreStatus"]

_GROUP = "external-secrets.io"

SECRET_STORES = Resource(_GROUP, "v1", "secretstores", "SecretStore")
CLUSTER_SECRET_STORES = Resource(_GROUP, "v1", "clustersecretstores", "ClusterSecretStore", namespaced=False)
EXTERNAL_SECRETS = Resource(_GROUP, "v1", "externalsecrets", "ExternalSecret")
CLUSTER_EXTERNAL_SECRETS = Resource(_GROUP, "v1", "clusterexternalsecrets", "ClusterExternalSecret", namespaced=False)
PUSH_SECRETS = Resource(_GROUP, "v1alpha1", "pushsecrets", "PushSecret")

ConversionStrategy = Annotated[Literal["Default", "Unicode"], Implied()]
"""What becomes of characters that a Secret's key cannot have."""
DecodingStrategy = Annotated[Literal["Auto", "Base64", "Base64URL", "None"], Implied()]
NullBytePolicy = Annotated[Literal["Ignore", "Fail"], Implied()]
MetadataPolicy = Annotated[Literal["None", "Fetch"], Implied()]

GeneratorKind = Literal[
    "ACRAccessToken",
    "BeyondtrustWorkloadCredentialsDynamicSecret",
    "CloudsmithAccessToken",
    "ClusterGenerator",
    "CodeArtifactAuthorizationToken",
    "ECRAuthorizationToken",
    "Fake",
    "GCRAccessToken",
    "GithubAccessToken",
    "GitlabDeployToken",
    "Grafana",
    "MFA",
    "Password",
    "QuayAccessToken",
    "SSHKey",
    "STSSessionToken",
    "UUID",
    "VaultDynamicSecret",
    "Webhook",
]


class SecretStoreRef(Fields):
    """The store to read from."""

    name: DnsName | None = None
    kind: Annotated[Literal["SecretStore", "ClusterSecretStore"], Implied()] = "SecretStore"


class GeneratorRef(Fields):
    """The generator to take values from."""

    api_version: str = "generators.external-secrets.io/v1alpha1"
    kind: GeneratorKind
    name: DnsName


class DataSourceRef(OneOf):
    """Another source for one entry. `generatorRef` is accepted but means nothing in `data`."""

    store_ref: SecretStoreRef | None = None
    generator_ref: GeneratorRef | None = None


class RemoteRef(Fields):
    """One value, or one JSON object of values, at the provider."""

    key: str
    """Name or ARN; the store's prefix goes before it."""
    property: str = ""
    """A gjson path into the value."""
    version: str = ""
    """A stage, `uuid/<version id>`, or a parameter's version or label."""
    metadata_policy: MetadataPolicy = "None"
    """Fetch: the tags instead of the value."""
    conversion_strategy: ConversionStrategy = "Default"
    decoding_strategy: DecodingStrategy = "None"
    null_byte_policy: NullBytePolicy = "Ignore"
    """Fail: a value with a zero byte is an error."""


class DataEntry(Fields):
    """One key of the Secret."""

    secret_key: DataKey
    remote_ref: RemoteRef
    source_ref: DataSourceRef | None = None


class FindName(Fields):
    """Names that a regular expression finds."""

    regexp: str = ""


class Find(Fields):
    """All secrets below a path that match by name or by tags."""

    path: str | None = None
    name: FindName | None = None
    tags: Strings = {}
    conversion_strategy: ConversionStrategy = "Default"
    decoding_strategy: DecodingStrategy = "None"
    null_byte_policy: NullBytePolicy = "Ignore"


class RewriteRegexp(Fields):
    """Keys by replacement; `$1` stands for a group."""

    source: str
    target: str


class RewriteTransform(Fields):
    """Keys by a template over `.value`."""

    template: str


class RewriteMerge(Fields):
    """The values, read as JSON objects, merged into one."""

    into: Annotated[str, SchemaDefault("")] = ""
    """The key of the merged object; for the strategy JSON."""
    priority: tuple[str, ...] = ()
    """Keys that win, the last most."""
    priority_policy: Literal["Strict", "IgnoreNotFound"] = "Strict"
    conflict_policy: Literal["Ignore", "Error"] = "Error"
    strategy: Literal["Extract", "JSON"] = "Extract"


class Rewrite(OneOf):
    """One step that changes the keys."""

    regexp: RewriteRegexp | None = None
    transform: RewriteTransform | None = None
    merge: RewriteMerge | None = None


class DataFromSourceRef(OneOf):
    """Another store, or a generator whose output are the keys."""

    store_ref: SecretStoreRef | None = None
    generator_ref: GeneratorRef | None = None


class DataFromEntry(Fields):
    """Many keys at once: one JSON secret, everything that is found, or what a generator makes."""

    extract: RemoteRef | None = None
    find: Find | None = None
    rewrite: tuple[Rewrite, ...] = ()
    """Applied in order."""
    source_ref: DataFromSourceRef | None = None


class TemplateItem(Fields):
    """A template in a ConfigMap or Secret."""

    key: DataKey
    template_as: Literal["Values", "KeysAndValues"] = "Values"


class TemplateRef(Fields):
    """Templates in a ConfigMap or Secret of the namespace."""

    name: DnsName
    items: tuple[TemplateItem, ...]


class TemplateFrom(Fields):
    """Templates that stand elsewhere, or one whole."""

    config_map: TemplateRef | None = None
    secret: TemplateRef | None = None
    literal: str | None = None
    target: str = "Data"
    """Data, Annotations or Labels; a path where the target is no Secret."""
    values_decoding_strategy: DecodingStrategy = "None"


class TemplateMetadata(Fields):
    """Labels, annotations and finalizers of the Secret; the values are templates."""

    annotations: Strings = {}
    labels: Strings = {}
    finalizers: tuple[str, ...] = ()


class Template(Fields):
    """What the Secret is made of, beside or instead of the provider's keys."""

    type: str = ""
    """Default: Opaque."""
    engine_version: Literal["v2"] = "v2"
    metadata: TemplateMetadata = TemplateMetadata()
    merge_policy: Literal["Replace", "Merge"] = "Replace"
    """Merge keeps the provider's keys beside the template's."""
    data: Strings = {}
    template_from: tuple[TemplateFrom, ...] = ()


class TargetManifest(Fields):
    """A kind other than Secret to write."""

    api_version: Annotated[str, Field(min_length=1)]
    kind: Annotated[str, Field(min_length=1)]


class ExternalSecretTarget(Fields):
    """The Secret that is written."""

    name: DnsName | None = None
    """Default: the ExternalSecret's name."""
    creation_policy: Literal["Owner", "Orphan", "Merge", "None", "CreateOrMerge"] = "Owner"
    deletion_policy: Literal["Delete", "Merge", "Retain"] = "Retain"
    """What happens when the provider no longer has the values."""
    template: Template | None = None
    manifest: TargetManifest | None = None
    immutable: Bool = False


class SyncWindow(Fields):
    """When a window opens (cron, in UTC) and for how long."""

    schedule: Annotated[
        str,
        Field(
            pattern=r"^(\@(annually|yearly|monthly|weekly|daily|midnight|hourly)|\@every [^\s]+.*|[^\s]+( [^\s]+){4})$"
        ),
    ]
    duration: str


class SyncWindows(Fields):
    """Times when periodic refreshes happen, or do not."""

    kind: Literal["allow", "deny"]
    windows: tuple[SyncWindow, ...]


class ExternalSecretSpec(Fields):
    """Values of a provider, kept as a Secret."""

    secret_store_ref: SecretStoreRef = SecretStoreRef()
    target: Annotated[ExternalSecretTarget, SchemaDefault({"creationPolicy": "Owner", "deletionPolicy": "Retain"})] = (
        ExternalSecretTarget()
    )
    refresh_policy: Annotated[Literal["CreatedOnce", "Periodic", "OnChange"], Implied()] = "Periodic"
    refresh_interval: str = "1h0m0s"
    """A Go duration; 0 or less: never again once synced."""
    sync_windows: SyncWindows | None = None
    data: tuple[DataEntry, ...] = ()
    """Wins over `dataFrom`."""
    data_from: tuple[DataFromEntry, ...] = ()
    """In order; a later entry wins."""


class Binding(Fields):
    """The Secret's name, as servicebinding.io reads it."""

    atomic: ClassVar[bool] = True

    name: Annotated[str, SchemaDefault("")] = ""


class ExternalSecretStatus(Fields):
    """When the Secret was written last, and from which state of the ExternalSecret."""

    refresh_time: Annotated[Time | None, Nullable()] = None
    synced_resource_version: str = ""
    conditions: tuple[StatusCondition, ...] = ()
    binding: Binding | None = None


class ExternalSecretMetadata(Fields):
    """Labels and annotations of the ExternalSecrets that are made."""

    annotations: Strings = {}
    labels: Strings = {}


class ClusterExternalSecretSpec(Fields):
    """One ExternalSecret in each of many namespaces."""

    external_secret_spec: ExternalSecretSpec
    external_secret_name: DnsName | None = None
    """Default: the ClusterExternalSecret's name."""
    external_secret_metadata: ExternalSecretMetadata = ExternalSecretMetadata()
    namespace_selectors: tuple[LabelSelector, ...] = ()
    """Any one of them is enough."""
    namespace_selector: LabelSelector | None = None
    """Superseded by `namespaceSelectors`."""
    namespaces: tuple[DnsLabel, ...] = ()
    """Superseded by `namespaceSelectors`."""
    refresh_time: str | None = None
    """How often namespaces are looked at again, as a Go duration."""


class FailedNamespace(Fields):
    """A namespace where the ExternalSecret could not be made."""

    namespace: str
    reason: str = ""


class ClusterCondition(Fields):
    """The conditions that a ClusterExternalSecret writes."""

    type: str
    status: str
    message: str = ""


class ClusterExternalSecretStatus(Fields):
    """Where the ExternalSecrets are."""

    external_secret_name: str = ""
    failed_namespaces: tuple[FailedNamespace, ...] = ()
    provisioned_namespaces: tuple[str, ...] = ()
    conditions: tuple[ClusterCondition, ...] = ()
