"""STS and EKS Pod Identity: credentials for those whom a role's trust policy names, and for nobody else.

AssumeRoleWithWebIdentity verifies the token; AssumeRole honours trust policies, external id, session tags
(sts:TagSession) and transitive tags; a chained session lasts an hour at most. Source: the STS API reference,
"Pass session tags".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from controllers.api.timestamps import timestamp

from . import aws_backends
from .aws_access import Need, allows
from .aws_http import Answer, AwsError, Call, answer_json, answer_sts, denied, members
from .aws_identities import Directory, Identity
from .aws_jwt import Verifier
from .aws_policy import Context, Effect, trusts

_SESSION = re.compile(r"[\w+=,.@-]{2,64}")
POD_AUDIENCE = "pods.eks.amazonaws.com"


@dataclass(frozen=True, slots=True)
class Association:
    """An EKS Pod Identity association."""

    cluster: str
    namespace: str
    service_account: str
    role: str  # ARN


@dataclass(slots=True)
class TokenService:
    directory: Directory
    verifier: Verifier
    audiences: tuple[str, ...] = ("sts.amazonaws.com",)
    associations: list[Association] = field(default_factory=list)

    # --- STS

    def web_identity(self, call: Call) -> tuple[Answer, str]:
        """AssumeRoleWithWebIdentity: (answer, the role's ARN for the counters)."""
        params = call.params
        issuer, claims = self.verifier.verify(str(params.get("WebIdentityToken", "")), audiences=self.audiences)
        arn = str(params.get("RoleArn", ""))
        role = aws_backends.role(arn)
        subject, audience = str(claims.get("sub", "")), claims.get("aud")
        audience = tuple(audience) if isinstance(audience, list) else (str(audience),)
        context = {f"{issuer.provider}:sub".lower(): (subject,), f"{issuer.provider}:aud".lower(): audience}
        account = arn.split(":")[4] if arn.count(":") >= 5 else ""
        provider = f"arn:aws:iam::{account}:oidc-provider/{issuer.provider}"
        action = "sts:AssumeRoleWithWebIdentity"
        who = [("Federated", provider)]
        if role is None or trusts(role.trust, action=action, principals=who, context=context) is not Effect.ALLOW:
            raise AwsError("AccessDenied", f"Not authorized to perform {action}", 403)
        session = _session_name(params)
        seconds = _seconds(params, role.max_seconds)
        identity = self.directory.issue(account=account, role=arn, session=session, seconds=seconds)
        extra = (
            f"<SubjectFromWebIdentityToken>{escape(subject)}</SubjectFromWebIdentityToken>"
            f"<Audience>{escape(audience[0])}</Audience><Provider>{escape(provider)}</Provider>"
        )
        return answer_sts(call.action, _credentials_xml(identity) + extra), arn

    def assume_role(self, call: Call, caller: Identity) -> Answer:
        params = call.params
        arn = str(params.get("RoleArn", ""))
        role = aws_backends.role(arn)
        tags = _tags(params)
        tags = {**{k: v for k, v in caller.tags.items() if k in caller.transitive}, **tags}
        if clash := caller.transitive & _tags(params).keys():
            raise AwsError("InvalidParameterValue", f"session tag {sorted(clash)[0]} is transitive and cannot be set")
        context = _request_context(caller, params, tags)
        actions = ["sts:AssumeRole", *(["sts:TagSession"] if tags else [])]
        for action in actions:
            if role is None or not _may_assume(role, caller, action, context):
                raise denied(call, arn=caller.arn, action=action, resource=arn)
        limit = 3600 if caller.role or role is None else role.max_seconds  # a chained session: an hour at most
        transitive = caller.transitive | frozenset(members(params, "TransitiveTagKeys"))
        identity = self.directory.issue(
            account=arn.split(":")[4],
            role=arn,
            session=_session_name(params),
            seconds=_seconds(params, limit),
            tags=tags,
            transitive=transitive,
        )
        return answer_sts(call.action, _credentials_xml(identity))

    def caller_identity(self, call: Call, caller: Identity) -> Answer:
        user = f"AROAINHAULSTANDIN:{caller.session}" if caller.role else "AIDAINHAULSTANDIN"
        arn = escape(caller.arn)
        return answer_sts(
            call.action, f"<Arn>{arn}</Arn><UserId>{escape(user)}</UserId><Account>{caller.account}</Account>"
        )

    # --- Pod Identity

    def pod_identity(self, token: str, *, cluster: str = "") -> tuple[Identity, Association]:
        """Credentials for the service account of a pod's token. Raises AwsError."""
        _, claims = self.verifier.verify(token, audiences=(POD_AUDIENCE,))
        parts = str(claims.get("sub", "")).split(":")
        if len(parts) != 4 or parts[:2] != ["system", "serviceaccount"]:
            raise AwsError("InvalidTokenException", "the token's subject is no service account")
        _, _, namespace, account_name = parts
        for found in self.associations:
            if (found.namespace, found.service_account) != (namespace, account_name):
                continue
            if not cluster or cluster == found.cluster:
                return self._pod_session(found, claims), found
        message = f"no pod identity association for service account {namespace}/{account_name}"
        raise AwsError("ResourceNotFoundException", message, 404)

    def _pod_session(self, found: Association, claims: Mapping[str, Any]) -> Identity:
        pod = claims.get("kubernetes.io", {})
        pod = pod.get("pod", {}) if isinstance(pod, Mapping) else {}
        account = found.role.split(":")[4]
        tags = {
            "eks-cluster-name": found.cluster,
            "eks-cluster-arn": f"arn:aws:eks:us-east-1:{account}:cluster/{found.cluster}",
            "kubernetes-namespace": found.namespace,
            "kubernetes-service-account": found.service_account,
            "kubernetes-pod-name": str(pod.get("name", "")),
            "kubernetes-pod-uid": str(pod.get("uid", "")),
        }
        role = aws_backends.role(found.role)
        context = {f"aws:requesttag/{key}": (value,) for key, value in tags.items()}
        who = [("Service", "pods.eks.amazonaws.com")]
        for action in ("sts:AssumeRole", "sts:TagSession"):
            if role is None or trusts(role.trust, action=action, principals=who, context=context) is not Effect.ALLOW:
                raise AwsError("AccessDeniedException", "the role does not trust pods.eks.amazonaws.com", 403)
        session = f"eks-{found.cluster}-{found.service_account}"[:64]
        transitive = frozenset(tags)
        return self.directory.issue(
            account=account, role=found.role, session=session, seconds=21_600, tags=tags, transitive=transitive
        )

    def container_credentials(self, token: str) -> Answer:
        """What the Pod Identity agent answers on its loopback address."""
        identity, _ = self.pod_identity(token)
        return answer_json(
            {
                "AccessKeyId": identity.access_key,
                "SecretAccessKey": identity.secret,
                "Token": identity.token,
                "AccountId": identity.account,
                "Expiration": _stamp(identity),
            }
        )

    def eks_auth(self, cluster: str, token: str) -> Answer:
        """eks-auth AssumeRoleForPodIdentity."""
        identity, found = self.pod_identity(token, cluster=cluster)
        name = f"arn:aws:eks:us-east-1:{identity.account}:podidentityassociation/{cluster}/a-standin"
        return answer_json(
            {
                "subject": {"namespace": found.namespace, "serviceAccount": found.service_account},
                "audience": POD_AUDIENCE,
                "podIdentityAssociation": {"associationArn": name, "associationId": "a-standin"},
                "assumedRoleUser": {"arn": identity.arn, "assumeRoleId": f"AROAINHAULSTANDIN:{identity.session}"},
                "credentials": {
                    "accessKeyId": identity.access_key,
                    "secretAccessKey": identity.secret,
                    "sessionToken": identity.token,
                    "expiration": identity.expires.timestamp() if identity.expires else 0,
                },
            }
        )


def _may_assume(role: aws_backends.Role, caller: Identity, action: str, context: Context) -> bool:
    """The trust policy must name the caller; where it names the account, the caller's own policies must allow too."""
    own = caller.role or caller.arn
    root = f"arn:aws:iam::{caller.account}:root"
    direct = [("AWS", own), ("AWS", caller.arn)]
    by_account = [("AWS", root), ("AWS", caller.account)]
    trusted = trusts(role.trust, action=action, principals=[*direct, *by_account], context=context)
    if trusted is not Effect.ALLOW:
        return False
    same_account = role.arn.split(":")[4] == caller.account
    effect = allows(caller, Need(action, role.arn))
    if effect is Effect.DENY:
        return False
    named = trusts(role.trust, action=action, principals=direct, context=context) is Effect.ALLOW
    return effect is Effect.ALLOW or (same_account and named)


def _request_context(caller: Identity, params: Mapping[str, Any], tags: Mapping[str, str]) -> Context:
    found = {**caller.context(), **{f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}}
    if tags:
        found["aws:tagkeys"] = tuple(tags)
    if transitive := tuple(members(params, "TransitiveTagKeys")):
        found["sts:transitivetagkeys"] = transitive
    if params.get("ExternalId"):
        found["sts:externalid"] = (str(params["ExternalId"]),)
    found["sts:rolesessionname"] = (str(params.get("RoleSessionName", "")),)
    return found


def _tags(params: Mapping[str, Any]) -> dict[str, str]:
    tags, number = {}, 1
    while f"Tags.member.{number}.Key" in params:
        tags[str(params[f"Tags.member.{number}.Key"])] = str(params.get(f"Tags.member.{number}.Value", ""))
        number += 1
    if len(tags) > 50:
        raise AwsError("ValidationError", "at most 50 session tags")
    return tags


def _session_name(params: Mapping[str, Any]) -> str:
    name = str(params.get("RoleSessionName", ""))
    if not _SESSION.fullmatch(name):
        raise AwsError("ValidationError", "RoleSessionName: expected 2 to 64 characters of [\\w+=,.@-]")
    return name


def _seconds(params: Mapping[str, Any], limit: int) -> int:
    text = str(params.get("DurationSeconds", min(3600, limit)))
    seconds = int(text) if text.isdigit() and len(text) < 9 else 0
    if not 900 <= seconds <= limit:
        raise AwsError("ValidationError", f"DurationSeconds: expected 900 to {limit}")
    return seconds


def _stamp(identity: Identity) -> str:
    return timestamp(identity.expires) if identity.expires else ""


def _credentials_xml(identity: Identity) -> str:
    return (
        f"<Credentials><AccessKeyId>{identity.access_key}</AccessKeyId>"
        f"<SecretAccessKey>{identity.secret}</SecretAccessKey><SessionToken>{identity.token}</SessionToken>"
        f"<Expiration>{_stamp(identity)}</Expiration></Credentials>"
        f"<AssumedRoleUser><Arn>{escape(identity.arn)}</Arn>"
        f"<AssumedRoleId>AROAINHAULSTANDIN:{identity.session}</AssumedRoleId></AssumedRoleUser>"
    )
