"""SecretStore and ClusterSecretStore: where secrets are read from, and as whom."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .base import Bool, Fields, Format, Implied, Int, Json, OneOf
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


class SecretStoreProvider(OneOf):
    """Exactly one provider. We serve `aws`; the others are admitted, kept and reported as not served."""

    aws: AWSProvider | None = None
    akeyless: Json = None
    azurekv: Json = None
    barbican: Json = None
    beyondtrust: Json = None
    beyondtrustworkloadcredentials: Json = None
    bitwardensecretsmanager: Json = None
    chef: Json = None
    cloudrusm: Json = None
    conjur: Json = None
    delinea: Json = None
    device42: Json = None
    doppler: Json = None
    dvls: Json = None
    fake: Json = None
    fortanix: Json = None
    gcpsm: Json = None
    github: Json = None
    gitlab: Json = None
    ibm: Json = None
    infisical: Json = None
    keepersecurity: Json = None
    kubernetes: Json = None
    nebiusmysterybox: Json = None
    ngrok: Json = None
    onboardbase: Json = None
    onepassword: Json = None
    onepassword_sdk: Annotated[Json, Field(alias="onepasswordSDK")] = None
    oracle: Json = None
    ovh: Json = None
    passbolt: Json = None
    passworddepot: Json = None
    previder: Json = None
    pulumi: Json = None
    scaleway: Json = None
    secretserver: Json = None
    senhasegura: Json = None
    vault: Json = None
    volcengine: Json = None
    webhook: Json = None
    yandexcertificatemanager: Json = None
    yandexlockbox: Json = None


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
    refresh_interval: Int | str | None = None
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
