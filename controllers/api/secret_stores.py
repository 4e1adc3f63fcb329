"""SecretStore and ClusterSecretStore: where secrets are read from, and as whom."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .base import Bool, Fields, Format, Implied, Int, IntOrString, JsonObject, OneOf
from .meta import DnsLabel, LabelSelector, SecretKeySelector, ServiceAccountSelector, Strings, Time


class AWSJWTAuth(Fields):
    """IRSA: the role in the service account's `eks.amazonaws.com/role-arn`, with a token of that account."""

    service_account_ref: ServiceAccountSelector | None = None


class AWSAuthSecretRef(Fields):
    """Static credentials out of Secrets."""

    access_key_id_secret_ref: Annotated[SecretKeySelector, Field(alias="accessKeyIDSecretRef")] = SecretKeySelector()
    secret_access_key_secret_ref: SecretKeySelector = SecretKeySelector()
    session_token_secret_ref: SecretKeySelector | None = None


class AWSAuth(Fields):
    """One of the two, or neither: the controller's own credentials."""

    secret_ref: AWSAuthSecretRef | None = None
    jwt: AWSJWTAuth | None = None


class Tag(Fields):
    """A tag of an STS session."""

    key: str
    value: str


class SecretsManagerSettings(Fields):
    """How pushed secrets are deleted."""

    force_delete_without_recovery: Bool = False
    recovery_window_in_days: Annotated[Int, Format("int64"), Implied()] = 0
    """7 to 30; 0 means AWS's default of 30."""


class AWSProvider(Fields):
    """Secrets Manager, Parameter Store or exportable certificates of one region, as one identity."""

    service: Literal["SecretsManager", "ParameterStore", "CertificateManager"]
    region: str
    auth: AWSAuth = AWSAuth()
    role: str = ""
    """A role's ARN, assumed last."""
    additional_roles: tuple[str, ...] = ()
    """Roles assumed before `role`, in this order."""
    external_id: Annotated[str, Field(alias="externalID")] = ""
    session_tags: tuple[Tag, ...] = ()
    transitive_tag_keys: tuple[str, ...] = ()
    session_tags_policy: Literal["None", "Simple", "Custom"] = "None"
    """Simple: tags esoNamespace, esoStoreName and esoStoreKind; Custom: customSessionTags beside them."""
    custom_session_tags: Strings = {}
    prefix: str = ""
    """Put before every key."""
    secrets_manager: SecretsManagerSettings | None = None


class FakeProviderData(Fields):
    """A value of a fake store; `version` must be asked for as it is written here, none included."""

    key: str
    value: str
    version: str = ""


class FakeProvider(Fields):
    """Values in the store itself, for tests and CI."""

    data: tuple[FakeProviderData, ...]
    validation_result: Int | None = None
    """What validation answers: 0 ready, 1 unknown, 2 error."""


class SecretStoreProvider(OneOf):
    """Exactly one provider. Those that are not served are admitted, kept and reported."""

    aws: AWSProvider | None = None
    akeyless: JsonObject | None = None
    alibaba: JsonObject | None = None
    azurekv: JsonObject | None = None
    barbican: JsonObject | None = None
    beyondtrust: JsonObject | None = None
    beyondtrustworkloadcredentials: JsonObject | None = None
    bitwardensecretsmanager: JsonObject | None = None
    chef: JsonObject | None = None
    cloudrusm: JsonObject | None = None
    conjur: JsonObject | None = None
    crd: JsonObject | None = None
    delinea: JsonObject | None = None
    device42: JsonObject | None = None
    doppler: JsonObject | None = None
    dvls: JsonObject | None = None
    fake: FakeProvider | None = None
    fortanix: JsonObject | None = None
    gcpsm: JsonObject | None = None
    github: JsonObject | None = None
    gitlab: JsonObject | None = None
    ibm: JsonObject | None = None
    infisical: JsonObject | None = None
    keepersecurity: JsonObject | None = None
    kubernetes: JsonObject | None = None
    nebiusmysterybox: JsonObject | None = None
    ngrok: JsonObject | None = None
    onboardbase: JsonObject | None = None
    onepassword: JsonObject | None = None
    onepassword_sdk: Annotated[JsonObject | None, Field(alias="onepasswordSDK")] = None
    open_bao: JsonObject | None = None
    oracle: JsonObject | None = None
    ovh: JsonObject | None = None
    passbolt: JsonObject | None = None
    passworddepot: JsonObject | None = None
    previder: JsonObject | None = None
    pulumi: JsonObject | None = None
    scaleway: JsonObject | None = None
    secretserver: JsonObject | None = None
    senhasegura: JsonObject | None = None
    vault: JsonObject | None = None
    volcengine: JsonObject | None = None
    webhook: JsonObject | None = None
    yandexcertificatemanager: JsonObject | None = None
    yandexlockbox: JsonObject | None = None


class RetrySettings(Fields):
    """Retries of one provider call."""

    max_retries: Annotated[Int, Format("int32")] | None = None
    retry_interval: str | None = None
    """A fixed delay, as a Go duration."""


class StoreCondition(Fields):
    """Namespaces that may use a cluster store; any entry and any of its fields is enough."""

    namespace_selector: LabelSelector | None = None
    namespaces: tuple[DnsLabel, ...] = ()
    namespace_regexes: tuple[str, ...] = ()


class SecretStoreSpec(Fields):
    """A provider, and for a cluster store who may use it."""

    controller: str = ""
    """Which controller serves the store; empty: any."""
    provider: SecretStoreProvider
    retry_settings: RetrySettings | None = None
    refresh_interval: IntOrString | None = None
    """How often the store is validated again: seconds, or a Go duration."""
    conditions: tuple[StoreCondition, ...] = ()


class StatusCondition(Fields):
    """The conditions that this group's kinds write."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: Time | None = None


class SecretStoreStatus(Fields):
    """Whether the store's credentials work, and what it can do."""

    conditions: tuple[StatusCondition, ...] = ()
    capabilities: str = ""
    """ReadOnly, WriteOnly or ReadWrite."""
