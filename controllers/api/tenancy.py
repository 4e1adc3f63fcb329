"""May this namespace do that? The one question that stands before each outward call and each write to Git.

Pure: policies, a namespace and a request in, a decision with its reason out. While no TenantPolicy exists everything is
allowed, as upstream does. From the first one on a namespace has what the policies that select it grant, taken together,
and nothing else; a policy that cannot be read counts as one that exists and grants nothing, so that a typing error
never opens a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from .base import InvalidSpecError, parse
from .globs import git_url_matches, matches, repository_matches
from .inhaul import KindGrant, TenantPolicySpec
from .meta import selects
from .resource import Manifest

_NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class UseRole:
    """Assume an AWS role."""

    arn: str

    def __str__(self) -> str:
        return f"role {self.arn}"


@dataclass(frozen=True, slots=True)
class ReadKey:
    """Read one secret; `service` as a store names it (SecretsManager, ParameterStore, CertificateManager)."""

    service: str
    key: str

    def __str__(self) -> str:
        return f"key {self.key} of {self.service}"


@dataclass(frozen=True, slots=True)
class DecryptWith:
    """Open an encrypted file with a KMS key or, by its recipient, an age key: exactly one of the two."""

    kms_arn: str = ""
    age_recipient: str = ""

    def __str__(self) -> str:
        return f"KMS key {self.kms_arn}" if self.kms_arn else f"age recipient {self.age_recipient}"


@dataclass(frozen=True, slots=True)
class AskKeyService:
    """Open an encrypted file with a key service at an address that the file itself names: `kind:address`.

    The one request that needs a grant even where no policy exists: credentials would go to the address.
    """

    service: str

    def __str__(self) -> str:
        return f"key service {self.service}"


@dataclass(frozen=True, slots=True)
class ReadGit:
    """Fetch from a repository. `branch` is a branch's name or a full reference; "" is a bare commit."""

    url: str
    branch: str = ""

    def __str__(self) -> str:
        return f"reading {self.branch or 'a commit'} of {_without_user(self.url)}"


@dataclass(frozen=True, slots=True)
class WriteGit:
    """Push a change of one file."""

    url: str
    branch: str
    path: str

    def __str__(self) -> str:
        return f"writing {self.path} on {self.branch} of {_without_user(self.url)}"


@dataclass(frozen=True, slots=True)
class PullImage:
    """List tags or read manifests of `registry/repository`."""

    repository: str

    def __str__(self) -> str:
        return f"image repository {self.repository}"


@dataclass(frozen=True, slots=True)
class WriteSecretType:
    """Write a Secret of a type."""

    type: str

    def __str__(self) -> str:
        return f"Secrets of type {self.type}"


@dataclass(frozen=True, slots=True)
class ApplyKind:
    """Apply an object of a kind; `group` is "" for the core group."""

    group: str
    kind: str

    def __str__(self) -> str:
        return f"kind {self.kind}.{self.group}" if self.group else f"kind {self.kind}"


Request = (
    UseRole | ReadKey | DecryptWith | AskKeyService | ReadGit | WriteGit | PullImage | WriteSecretType | ApplyKind
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """A TenantPolicy as it was read; `spec` is None where it cannot be, and `problem` says why."""

    name: str
    spec: TenantPolicySpec | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, with a reason that a condition can show."""

    allowed: bool
    reason: str

    def __bool__(self) -> bool:
        return self.allowed


def policy_of(manifest: Manifest) -> Policy:
    """A TenantPolicy manifest, read. Never raises: see Policy."""
    name = str((manifest.get("metadata") or {}).get("name") or "")
    try:
        return Policy(name, parse(TenantPolicySpec, manifest))
    except InvalidSpecError as error:
        return Policy(name, None, str(error))


MINTING_SECRET_TYPES = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")
"""Types for which Kubernetes makes a credential: whoever may have one made holds the account's rights."""


def allowed(
    policies: Iterable[Policy], *, namespace: str, namespace_labels: Mapping[str, str], request: Request
) -> Decision:
    """Whether the namespace may do what is requested, by all policies of the cluster."""
    policies = tuple(policies)
    if not policies:
        if isinstance(request, AskKeyService):
            return Decision(False, f"no TenantPolicy grants {request} (spec.keyServices)")
        if isinstance(request, WriteSecretType) and request.type in MINTING_SECRET_TYPES:
            return Decision(False, f"no TenantPolicy grants {request}: Kubernetes would add a credential to it")
        return Decision(True, "no TenantPolicy exists")
    labels = {**namespace_labels, _NAME_LABEL: namespace}
    matching = [(policy.name, policy.spec) for policy in policies if policy.spec and _selects(policy.spec, labels)]
    if not matching:
        return Decision(False, f"no TenantPolicy selects namespace {namespace}{_problems(policies)}")
    if isinstance(request, ApplyKind):
        for name, spec in matching:
            if _names(spec.kinds.deny, request):
                return Decision(False, f"TenantPolicy {name} denies {request}")
    for name, spec in matching:
        if _grants(spec, request):
            return Decision(True, f"TenantPolicy {name} grants {request}")
    names = ", ".join(name for name, _ in matching)
    return Decision(False, f"TenantPolicy {names} does not grant {request}{_problems(policies)}")


def _selects(spec: TenantPolicySpec, labels: Mapping[str, str]) -> bool:
    return selects(spec.namespace_selector, labels)


def _problems(policies: Iterable[Policy]) -> str:
    return "".join(
        f"; TenantPolicy {policy.name} cannot be read: {policy.problem}" for policy in policies if not policy.spec
    )


def _grants(spec: TenantPolicySpec, request: Request) -> bool:
    match request:
        case UseRole(arn):
            return _any(matches, spec.role_arns, arn) and arn.startswith("arn:")
        case ReadKey(service, key):
            return any(_key_matches(pattern, service, key) for pattern in spec.secret_keys)
        case DecryptWith("", recipient):
            return recipient in spec.age_recipients
        case DecryptWith(arn, ""):
            return _any(matches, spec.kms_arns, arn) and arn.startswith("arn:")
        case AskKeyService(service):
            return _any(matches, spec.key_services, service)
        case ReadGit(url, branch):
            return any(git_url_matches(grant.url, url) and _ref_matches(grant.branches, branch) for grant in spec.git)
        case WriteGit(url, branch, path):
            return not path.startswith("/") and any(
                grant.access == "write"
                and git_url_matches(grant.url, url)
                and _ref_matches(grant.branches, branch)
                and _any(matches, grant.paths, path)
                for grant in spec.git
            )
        case PullImage(repository):
            return _any(repository_matches, spec.registries, repository)
        case WriteSecretType(type_):
            return (type_ or "Opaque") in spec.secret_types
        case ApplyKind():
            return not spec.kinds.allow or _names(spec.kinds.allow, request)
    return False


def _any(covers: Callable[[str, str], bool], patterns: Iterable[str], name: str) -> bool:
    return any(covers(pattern, name) for pattern in patterns)


def _key_matches(pattern: str, service: str, key: str) -> bool:
    scope, colon, rest = pattern.partition(":")
    if colon and scope.isalpha() and scope != "arn":
        return scope == service and matches(rest, key)
    return matches(pattern, key)


def _ref_matches(patterns: Iterable[str], ref: str) -> bool:
    """Branches go by name; a bare commit may stand on any branch, so only a grant of all covers it."""
    if not ref:
        return "**" in tuple(patterns)
    return _any(matches, patterns, ref.removeprefix("refs/heads/"))


def _names(grants: Iterable[KindGrant], request: ApplyKind) -> bool:
    return any(grant.group in ("*", request.group) and grant.kind in ("*", request.kind) for grant in grants)


def _without_user(url: str) -> str:
    """The URL for a message: what stands before the host may be a password."""
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{mark}{authority.rpartition('@')[2]}{slash}{path}" if mark else url
