"""`source.toolkit.fluxcd.io/v1`: GitRepository."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .base import Bool, Fields, Format, Implied, Int, Rule
from .meta import Duration, FluxStatus, LocalRef, ShortDuration, Strings, Time
from .resource import Resource

GIT_REPOSITORIES = Resource("source.toolkit.fluxcd.io", "v1", "gitrepositories", "GitRepository")


class GitRef(Fields):
    """What to check out. Precedence: commit, name, semver, tag, branch; `master` where none is set."""

    branch: str = ""
    tag: str = ""
    semver: str = ""
    """The highest tag in a range of versions."""
    name: str = ""
    """A full reference, such as `refs/pull/420/head`."""
    commit: str = ""
    """A commit id; with `branch`, a commit on that branch."""


class GitVerification(Fields):
    """Signatures that must verify before a revision is used."""

    mode: Literal["head", "HEAD", "Tag", "TagAndHEAD"] = "HEAD"
    secret_ref: LocalRef
    """The signers' public keys: PGP in `*.asc`, SSH in `*.sshpub`."""


class GitInclude(Fields):
    """Another GitRepository's content, put into this one's."""

    repository: LocalRef
    from_path: str = ""
    to_path: str = ""
    """Default: the name of the included repository."""


class GitRepositorySpec(Fields):
    """Where a Git repository is, what of it to follow and how to authenticate."""

    url: Annotated[str, Field(pattern=r"^(http|https|ssh)://.*$")]
    interval: Duration
    """How often to look for a new revision."""
    secret_ref: LocalRef | None = None
    """https: username and password, or bearerToken, and ca.crt; ssh: identity and known_hosts."""
    provider: Annotated[Literal["generic", "aws", "azure", "github"], Implied()] = "generic"
    service_account_name: str = ""
    """The service account that authenticates to the provider aws or azure."""
    timeout: ShortDuration = "60s"
    """Of one Git operation."""
    ref: GitRef | None = None
    verify: GitVerification | None = None
    proxy_secret_ref: LocalRef | None = None
    """Keys address, username, password."""
    ignore: str | None = None
    """Paths to leave out, in the syntax of .gitignore."""
    suspend: Bool = False
    recurse_submodules: Bool = False
    include: tuple[GitInclude, ...] = ()
    sparse_checkout: tuple[str, ...] = ()
    """Only these directories."""

    cel: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.serviceAccountName) || "
            "(has(self.provider) && (self.provider == 'azure' || self.provider == 'aws'))",
            "serviceAccountName can only be set when provider is 'azure' or 'aws'",
        ),
    )


class Artifact(Fields):
    """A fetched revision as others can download it."""

    path: str
    url: str
    revision: str
    """`branch@sha1:<id>`, `tag@sha1:<id>` or `sha1:<id>`."""
    digest: Annotated[str, Field(pattern=r"^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$")] | None = None
    last_update_time: Time
    size: Annotated[Int, Format("int64")] | None = None
    """Bytes."""
    metadata: Strings = {}


class GitRepositoryStatus(FluxStatus):
    """The revision that was fetched last, and with which settings."""

    artifact: Artifact | None = None
    included_artifacts: tuple[Artifact, ...] = ()
    observed_ignore: str | None = None
    observed_recurse_submodules: Bool = False
    observed_include: tuple[GitInclude, ...] = ()
    observed_sparse_checkout: tuple[str, ...] = ()
    source_verification_mode: str | None = None
