"""`external-secrets.io/v1alpha1` PushSecret and ClusterPushSecret: accepted and kept, not served yet."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from .base import Fields, Json, Nullable, OneOf, Rule
from .external_secrets import FailedNamespace, GeneratorRef, RewriteRegexp, RewriteTransform, Template
from .meta import DnsName, LabelSelector, Strings, Time
from .resource import Resource
from .secret_stores import StatusCondition

CLUSTER_PUSH_SECRETS = Resource(
    "external-secrets.io", "v1alpha1", "clusterpushsecrets", "ClusterPushSecret", namespaced=False
)

ConversionStrategy = Literal["None", "ReverseUnicode"]


class PushStoreRef(Fields):
    """Stores to push to, by name or by labels."""

    name: DnsName | None = None
    label_selector: LabelSelector | None = None
    kind: Literal["SecretStore", "ClusterSecretStore"] = "SecretStore"


class PushSource(Fields):
    """Secrets to push, by name or by labels."""

    name: DnsName | None = None
    selector: LabelSelector | None = None


class PushSelector(OneOf):
    """What to push: a Secret, or what a generator makes."""

    secret: PushSource | None = None
    generator_ref: GeneratorRef | None = None


class PushRemoteRef(Fields):
    """Where a value goes at the provider."""

    remote_key: str
    property: str = ""


class PushMatch(Fields):
    """One key and where it goes; without a key the whole Secret."""

    secret_key: str = ""
    remote_ref: PushRemoteRef


class PushData(Fields):
    """One value to push."""

    match: PushMatch
    metadata: Json = None
    """The provider's own settings for it."""
    conversion_strategy: ConversionStrategy = "None"


class PushRewrite(Fields):
    """One step that changes the keys."""

    regexp: RewriteRegexp | None = None
    transform: RewriteTransform | None = None

    cel: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.regexp) && !has(self.transform)) || (!has(self.regexp) && has(self.transform))",
            "exactly one of regexp or transform must be set",
        ),
    )


class PushDataToMatch(Fields):
    """Keys that a regular expression finds; default: all."""

    regexp: str = ""


class PushDataTo(Fields):
    """Many keys to one store."""

    store_ref: PushStoreRef | None = None
    match: PushDataToMatch | None = None
    rewrite: tuple[PushRewrite, ...] = ()
    metadata: Json = None
    conversion_strategy: ConversionStrategy = "None"

    cel: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.storeRef) && (has(self.storeRef.name) || has(self.storeRef.labelSelector))",
            "storeRef must specify either name or labelSelector",
        ),
    )


class PushSecretSpec(Fields):
    """Values of the cluster, kept at a provider."""

    refresh_interval: str = "1h0m0s"
    secret_store_refs: tuple[PushStoreRef, ...]
    update_policy: Literal["Replace", "IfNotExists"] = "Replace"
    deletion_policy: Literal["Delete", "None"] = "None"
    selector: PushSelector
    data: tuple[PushData, ...] = ()
    data_to: tuple[PushDataTo, ...] = ()
    template: Template | None = None


class PushSecretStatus(Fields):
    """What was pushed where."""

    refresh_time: Annotated[Time | None, Nullable()] = None
    synced_resource_version: str = ""
    synced_push_secrets: dict[str, dict[str, PushData]] = {}
    """By store, then by remote key."""
    conditions: tuple[StatusCondition, ...] = ()


class PushSecretMetadata(Fields):
    """Labels and annotations of the PushSecrets that are made."""

    annotations: Strings = {}
    labels: Strings = {}


class ClusterPushSecretSpec(Fields):
    """One PushSecret in each of many namespaces."""

    push_secret_spec: PushSecretSpec
    push_secret_name: str = ""
    """Default: the ClusterPushSecret's name."""
    push_secret_metadata: PushSecretMetadata = PushSecretMetadata()
    namespace_selectors: tuple[LabelSelector, ...] = ()
    refresh_time: str | None = None


class ClusterPushSecretStatus(Fields):
    """Where the PushSecrets are."""

    push_secret_name: str = ""
    failed_namespaces: tuple[FailedNamespace, ...] = ()
    provisioned_namespaces: tuple[str, ...] = ()
    conditions: tuple[StatusCondition, ...] = ()
