"""What an automation checks out, to which branch it pushes, and which policies it takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controllers.api.duration import parse_duration
from controllers.api.image import ImageUpdateAutomationSpec
from controllers.api.meta import LabelSelector, selects
from controllers.api.source import GitRef, GitRepositorySpec
from controllers.git import GitError, branch_ref, parse_refspec, target
from controllers.image_automation.policy.annotations import is_held
from controllers.image_automation.tags.reference import Ref

DEFAULT_TIMEOUT = 60.0


class InvalidPushConfigError(ValueError):
    """A combination of checkout and push that cannot be served."""


@dataclass(frozen=True, slots=True)
class PushConfig:
    """Where work starts and where it goes."""

    checkout: GitRef | None
    """None: the default branch of GitRepositories."""
    branch: str
    switch: bool
    """The push branch is not the one that was checked out: it may be rewritten, with a lease, where all is ours."""
    refspec: tuple[str, str] | None
    options: Mapping[str, str]
    timeout: float
    """Seconds of one Git operation."""


@dataclass(frozen=True, slots=True)
class PolicyView:
    """What an automation sees of an ImagePolicy."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    latest: Ref | None
    previous: Ref | None = None
    revision: str = ""
    """Of the source of `latest`, where it is known."""
    pushed: int = 0
    """Second at which `latest` was pushed, where it is known."""
    held: tuple[str, ...] = ()
    """Images that a human took back."""

    @property
    def is_held(self) -> bool:
        return self.latest is not None and is_held(self.held, self.latest)


def push_config(automation: ImageUpdateAutomationSpec, source: GitRepositorySpec) -> PushConfig:
    """Raises InvalidPushConfigError with the field that is wrong."""
    git = automation.git
    if git is None:
        raise InvalidPushConfigError("spec.git: found nothing, expected commit settings")
    checkout = git.checkout.ref if git.checkout is not None else source.ref
    push = git.push
    try:
        wanted = target(checkout)
        branch = push.branch if push is not None else ""
        if not branch and wanted.kind != "branch":
            raise InvalidPushConfigError(
                f"spec.git.push.branch: found nothing, expected a branch, because a {wanted.kind} is checked out"
            )
        branch = branch or wanted.value
        branch_ref(branch)
        refspec = parse_refspec(push.refspec) if push is not None and push.refspec else None
    except GitError as error:
        raise InvalidPushConfigError(error.message) from None
    return PushConfig(
        checkout=checkout,
        branch=branch,
        switch=checkout is None or wanted.kind != "branch" or wanted.value != branch,
        refspec=refspec,
        options=dict(push.options) if push is not None else {},
        timeout=parse_duration(source.timeout) if source.timeout else DEFAULT_TIMEOUT,
    )


def select_policies(
    policies: Iterable[PolicyView], *, namespace: str, selector: LabelSelector | None
) -> list[PolicyView]:
    """Policies of the automation's own namespace that are selected and have an image, by name. Held ones too."""
    found = [
        policy
        for policy in policies
        if policy.namespace == namespace
        and policy.latest is not None
        and (selector is None or selects(selector, policy.labels))
    ]
    return sorted(found, key=lambda policy: policy.name)


def policies_changed(before: Mapping[str, Ref], now: Mapping[str, Ref]) -> bool:
    """Whether any policy came, went or picked another image."""
    return dict(before) != dict(now)
