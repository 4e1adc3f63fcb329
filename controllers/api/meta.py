"""Parts that many specs share: references, label selectors, conditions, and the texts that names must match."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .base import Fields, Format, Implied, Int, ListType, SchemaDefault

DnsName = Annotated[
    str,
    Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
]
"""A DNS subdomain: what names of Secrets, stores and most objects are."""
DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""What a namespace's name is."""
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
"""A key of a Secret's or ConfigMap's data."""
Duration = Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")]
"""A positive Go duration as the Flux kinds take it. Seconds: `duration.parse_duration`."""
ShortDuration = Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m))+$")]
"""As Duration, without hours: upstream's timeouts."""
Time = Annotated[str, Format("date-time")]
"""RFC 3339 in UTC, as `metav1.Time` is written."""
Strings = dict[str, str]


class LocalRef(Fields):
    """An object of a known kind in the same namespace."""

    name: str


class NamespacedRef(Fields):
    """An object of a known kind, in the same namespace where none is named."""

    name: str
    namespace: str = ""


class SelectorRequirement(Fields):
    """One requirement on a label."""

    key: str
    operator: str
    """In, NotIn, Exists or DoesNotExist."""
    values: Annotated[tuple[str, ...], ListType("atomic")] = ()


class LabelSelector(Fields):
    """Objects by their labels; all requirements hold. An empty selector selects everything."""

    atomic: ClassVar[bool] = True

    match_labels: Strings = {}
    match_expressions: Annotated[tuple[SelectorRequirement, ...], ListType("atomic")] = ()


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether an object with these labels is selected. An unknown operator selects nothing: selectors grant."""
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return False
    return all(_meets(requirement, labels) for requirement in selector.match_expressions)


def _meets(requirement: SelectorRequirement, labels: Mapping[str, str]) -> bool:
    match requirement.operator:
        case "In":
            return labels.get(requirement.key) in requirement.values
        case "NotIn":
            return labels.get(requirement.key) not in requirement.values
        case "Exists":
            return requirement.key in labels
        case "DoesNotExist":
            return requirement.key not in labels
    return False


class SecretKeySelector(Fields):
    """One key of a Secret. `namespace` is for cluster-scoped referents only."""

    name: DnsName | None = None
    namespace: DnsLabel | None = None
    key: DataKey | None = None


class ServiceAccountSelector(Fields):
    """A service account whose token authenticates. `namespace` is for cluster-scoped referents only."""

    name: DnsName
    namespace: DnsLabel | None = None
    audiences: tuple[str, ...] = ()
    """Audiences beside the provider's own."""


class Condition(Fields):
    """`metav1.Condition`."""

    type: Annotated[
        str,
        Field(
            max_length=316,
            pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
            r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        ),
    ]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    message: Annotated[str, Field(max_length=32768)]
    last_transition_time: Time
    observed_generation: Annotated[Int, Format("int64"), Field(ge=0), Implied()] = 0


class FluxStatus(Fields):
    """What the status of every Flux kind has."""

    conditions: tuple[Condition, ...] = ()
    last_handled_reconcile_at: str = ""
    """The `reconcile.fluxcd.io/requestedAt` that was answered last."""
    observed_generation: Annotated[Int, Format("int64"), Implied()] = 0


NOT_YET_OBSERVED = SchemaDefault({"observedGeneration": -1})
"""Flux kinds are created with this status, so that a fresh object never looks ready."""


def annotations_of(manifest: Mapping[str, object] | None) -> dict[str, str]:
    return _texts(manifest, "annotations")


def _texts(manifest: Mapping[str, object] | None, field: str) -> dict[str, str]:
    meta = (manifest or {}).get("metadata")
    values = meta.get(field) if isinstance(meta, Mapping) else None
    return dict(values) if isinstance(values, Mapping) else {}
