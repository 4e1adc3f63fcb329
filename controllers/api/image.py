"""`image.toolkit.fluxcd.io/v1`: ImageRepository, ImagePolicy, ImageUpdateAutomation."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .base import Bool, Fields, Implied, Int, Rule, SchemaDefault
from .meta import Duration, FluxStatus, LabelSelector, LocalRef, NamespacedRef, ShortDuration, Strings, Time
from .resource import Resource
from .source import GitRef

_GROUP = "image.toolkit.fluxcd.io"

IMAGE_REPOSITORIES = Resource(_GROUP, "v1", "imagerepositories", "ImageRepository")
IMAGE_POLICIES = Resource(_GROUP, "v1", "imagepolicies", "ImagePolicy")
IMAGE_UPDATE_AUTOMATIONS = Resource(_GROUP, "v1", "imageupdateautomations", "ImageUpdateAutomation")


class NamespaceLabels(Fields):
    """Namespaces that have all these labels; none named means every namespace."""

    match_labels: Strings = {}


class AccessFrom(Fields):
    """Namespaces whose policies may use a repository of another namespace."""

    namespace_selectors: tuple[NamespaceLabels, ...]
    """Any one of them is enough."""


class ImageRepositorySpec(Fields):
    """An image repository whose tags are scanned."""

    image: str
    """`[host[:port]/]path`, without scheme, tag or digest."""
    interval: Duration
    """Between two scans."""
    timeout: ShortDuration | None = None
    """Of one scan; default: interval."""
    secret_ref: LocalRef | None = None
    """A Secret of type kubernetes.io/dockerconfigjson."""
    proxy_secret_ref: LocalRef | None = None
    """Keys address, username, password."""
    service_account_name: Annotated[str, Field(max_length=253)] = ""
    cert_secret_ref: LocalRef | None = None
    """tls.crt with tls.key, ca.crt, or all three."""
    suspend: Bool = False
    access_from: AccessFrom | None = None
    exclusion_list: Annotated[tuple[str, ...], Field(max_length=25), SchemaDefault([r"^.*\.sig$"])] = (r"^.*\.sig$",)
    """Regular expressions of tags to leave out."""
    provider: Literal["generic", "aws", "azure", "gcp"] = "generic"
    """Whose credentials to use; `aws` for ECR."""
    insecure: Bool = False
    """Plain HTTP."""


class ScanResult(Fields):
    """What the last scan found."""

    tag_count: Int
    latest_tags: tuple[str, ...] = ()
    """The first ten in descending order of their bytes: a sample, not the newest."""
    revision: str = ""
    """Changes when the list of tags does."""
    scan_time: Time | None = None


class ImageRepositoryStatus(FluxStatus):
    """The last scan."""

    canonical_image_name: str = ""
    last_scan_result: ScanResult | None = None
    observed_exclusion_list: tuple[str, ...] = ()


class SemVerPolicy(Fields):
    """The highest version in a range."""

    range: str


class OrderPolicy(Fields):
    """The last in an order; `desc` picks the first."""

    order: Literal["asc", "desc"] = "asc"


class PolicyChoice(Fields):
    """How the newest tag is chosen. Where several are set: semver, then alphabetical, then numerical."""

    semver: SemVerPolicy | None = None
    alphabetical: OrderPolicy | None = None
    numerical: OrderPolicy | None = None


class TagFilter(Fields):
    """Which tags take part, and which part of them is compared."""

    pattern: str = ""
    """A regular expression; tags that do not match are left out."""
    extract: str = ""
    """What to compare instead of the tag, with the pattern's groups: `$ts`."""


class ImagePolicySpec(Fields):
    """Which of a repository's tags is the one to run."""

    image_repository_ref: NamespacedRef
    policy: PolicyChoice
    filter_tags: TagFilter | None = None
    digest_reflection_policy: Literal["Always", "IfNotPresent", "Never"] = "Never"
    """When the digest is looked up: at each look, once per tag, or never."""
    interval: Duration | None = None
    """Between two looks at the digest; with `Always` only."""
    suspend: Bool = False

    cel: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.interval) || (has(self.digestReflectionPolicy) && self.digestReflectionPolicy == 'Always')",
            "spec.interval is only accepted when spec.digestReflectionPolicy is set to 'Always'",
        ),
        Rule(
            "has(self.interval) || !has(self.digestReflectionPolicy) || self.digestReflectionPolicy != 'Always'",
            "spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'",
        ),
    )


class ImageRef(Fields):
    """One image: `name:tag`, and its digest where it was looked up."""

    name: str
    tag: str
    digest: str = ""


class ImagePolicyStatus(FluxStatus):
    """The chosen image, and the one before."""

    latest_ref: ImageRef | None = None
    observed_previous_ref: ImageRef | None = None


class SourceRef(Fields):
    """The GitRepository to change."""

    api_version: str = ""
    kind: Literal["GitRepository"] = "GitRepository"
    name: str
    namespace: str = ""


class GitCheckout(Fields):
    """What to start from; default: the GitRepository's own `ref`."""

    ref: GitRef


class CommitAuthor(Fields):
    """Author and committer of our commits."""

    email: str
    name: str = ""


class SigningKey(Fields):
    """The key that signs commits: gpg in `git.asc` (and passphrase), ssh in `identity` (and password)."""

    secret_ref: LocalRef
    type: Annotated[Literal["gpg", "ssh"], Implied()] = "gpg"


class CommitSpec(Fields):
    """How a commit looks."""

    author: CommitAuthor
    signing_key: SigningKey | None = None
    message_template: str = ""
    """A Go template."""
    message_template_values: Strings = {}
    """The template's `.Values`."""


class PushSpec(Fields):
    """Where commits go; default: the branch that was checked out."""

    branch: str = ""
    refspec: Annotated[str, Field(pattern=r"^$|^[^+:]")] = ""
    """A further push; refspecs that delete or force are refused."""
    options: Strings = {}
    """Push options (`git push -o`)."""


class GitSpec(Fields):
    """Checkout, commit and push."""

    checkout: GitCheckout | None = None
    commit: CommitSpec
    push: PushSpec | None = None


class UpdateStrategy(Fields):
    """What to edit."""

    strategy: Literal["Setters"] = "Setters"
    path: str = ""
    """The directory to search for markers; default: the whole repository."""


class ImageUpdateAutomationSpec(Fields):
    """Writes what policies chose into a Git repository."""

    source_ref: SourceRef
    git: GitSpec | None = None
    interval: Duration
    """The backstop between two runs; a policy's change starts one at once."""
    policy_selector: LabelSelector | None = None
    """Only these policies of the namespace; default: all."""
    update: Annotated[UpdateStrategy, SchemaDefault({"strategy": "Setters"})] = UpdateStrategy()
    suspend: Bool = False


class ImageUpdateAutomationStatus(FluxStatus):
    """The last run and the last push."""

    last_automation_run_time: Time | None = None
    last_push_commit: str = ""
    last_push_time: Time | None = None
    observed_policies: dict[str, ImageRef] = {}
    observed_source_revision: str = ""
