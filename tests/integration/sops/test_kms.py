"""SOPS files under AWS KMS keys: identities, context, aliases, regions, roles, and what a policy refuses unasked."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controllers.api.resource import Manifest
from controllers.api.tenancy import Decision, Policy, Request, allowed, policy_of
from controllers.aws.identity import ROLE_ANNOTATION, Identities
from controllers.aws.settings import AwsSettings
from controllers.runtime.kube import NotFound
from controllers.runtime.pools import Pools
from controllers.sops.binary import find_sops
from controllers.sops.decrypt import KeyUnavailableError
from controllers.sops.decryptor import Audit, Decryptor
from controllers.sops.errors import SopsError
from controllers.sops.keys import DataKeyCache, SopsKeys, parse_key_secret
from controllers.sops.kms import KmsAccess, region_of
from controllers.sops.policy import key_policy
from tests.integration.aws.conftest import Tokens

PLAIN = b"apiVersion: v1\nkind: Secret\nmetadata:\n    name: db\nstringData:\n    password: hunter2\n"


@dataclass
class Accounts:
    """The API server as far as it is asked: service accounts and their annotations."""

    roles: dict[str, str] = field(default_factory=dict)

    async def get(self, resource: Any, name: str, namespace: str = "", *, metadata_only: bool = False) -> Manifest:
        if f"{namespace}/{name}" not in self.roles:
            raise NotFound(404, "NotFound", "not found")
        role = self.roles[f"{namespace}/{name}"]
        annotations = {ROLE_ANNOTATION: role} if role else {}
        return {"metadata": {"name": name, "namespace": namespace, "annotations": annotations}}


@dataclass
class Book:
    """TenantPolicies, asked by the product's own rule."""

    policies: list[Policy] = field(default_factory=list)

    def allowed(self, namespace: str, request: Request) -> Decision:
        return allowed(self.policies, namespace=namespace, namespace_labels={}, request=request)

    def grant(self, **spec: Any) -> None:
        manifest = {"metadata": {"name": "team"}, "spec": {"namespaceSelector": {}, **spec}}
        self.policies.append(policy_of(manifest))


@dataclass
class Kit:
    aws: Any
    access: KmsAccess
    accounts: Accounts
    book: Book
    directory: Path
    cache: DataKeyCache = field(default_factory=DataKeyCache)
    audits: list[Audit] = field(default_factory=list)

    def key(self) -> str:
        return str(self.aws.client("kms").create_key()["KeyMetadata"]["Arn"])

    def encrypt(self, *flags: str, plain: bytes = PLAIN, rule: str = "") -> bytes:
        """What `sops encrypt` makes of it, as the operator."""
        access, secret = self.aws.standin.key()
        env = {
            "PATH": os.defpath, "HOME": str(self.directory), "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret, "AWS_ENDPOINT_URL": self.aws.url, "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip
        (self.directory / "rules.yaml").write_text(
            f"creation_rules:\n  - {{path_regex: a, {rule}}}\n" if rule else "{}"
        )
        argv = [
            find_sops(),
            *(["--config", "rules.yaml"] if rule else []),
            "encrypt",
            *flags,
            "--input-type",
            "yaml",
            "--output-type",
            "yaml",
        ]
        argv += ["--filename-override", "a.yaml"]
        done = subprocess.run(argv, input=plain, capture_output=True, cwd=self.directory, env=env, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    async def decrypt(
        self, data: bytes, *, namespace: str = "team-a", account: str = "", secret: dict[str, bytes] | None = None
    ) -> bytes:
        keys = SopsKeys(
            parse_key_secret(secret or {}), kms=self.access.opener(namespace, account), cache=self.cache
        )  # fmt: skip
        decryptor = Decryptor(keys, policy=key_policy(self.book, namespace), audit=self.audits.append)
        with keys:
            return await asyncio.to_thread(decryptor.decrypt_file, "db.yaml", data)

    async def calls(self) -> int:
        """How many since the last look."""
        found = sum((await self.aws.standin.calls()).values())
        await self.aws.standin.calls(reset=True)
        return int(found)


@pytest.fixture
async def kit(aws: Any, aws_environment: Callable[..., None], tmp_path: Path) -> Any:
    access, secret = aws.standin.key()
    aws_environment(AWS_ACCESS_KEY_ID=access, AWS_SECRET_ACCESS_KEY=secret, AWS_EC2_METADATA_DISABLED="true")
    pools, accounts, book = Pools(), Accounts(), Book()
    identities = Identities(pools, Tokens(aws), settings=AwsSettings(endpoint=aws.url, attempts=1))
    made = KmsAccess(identities, accounts, book)  # type: ignore[arg-type]
    yield Kit(aws, made, accounts, book, tmp_path)
    pools.close()


async def test_the_controllers_own_identity_opens_a_file_and_the_data_key_is_kept(kit: Kit) -> None:
    data = kit.encrypt("--kms", kit.key())
    await kit.calls()
    assert await kit.decrypt(data) == PLAIN.replace(b"    ", b"  ")
    assert await kit.calls() == 1
    assert await kit.decrypt(data) == PLAIN.replace(b"    ", b"  ")
    assert await kit.calls() == 0
    entry = kit.audits[-1]
    assert (entry.identity, entry.mac, entry.keys[0][:16]) == ("controller", "verified", "kms:arn:aws:kms:")
    assert "stringData.password" in entry.line() and "hunter2" not in entry.line()


async def test_a_service_account_opens_what_its_role_may_and_no_other_key_is_shared(kit: Kit) -> None:
    mine, other = kit.key(), kit.key()
    kit.accounts.roles["team-a/sops"] = kit.aws.irsa_role("a", subject="team-a:sops", allow=[("kms:Decrypt", mine)])
    kit.accounts.roles["team-b/sops"] = kit.aws.irsa_role("b", subject="team-b:sops", allow=[("kms:Decrypt", other)])
    data = kit.encrypt("--kms", mine)
    assert b"hunter2" in await kit.decrypt(data, account="sops")
    assert kit.audits[-1].identity.startswith("team-a/sops as arn:aws:iam::")
    with pytest.raises(SopsError, match="AccessDenied"):
        await kit.decrypt(data, namespace="team-b", account="sops")  # cached for team-a alone


@pytest.mark.parametrize(("role", "text"), [(None, "not found"), ("", "has no annotation")])
async def test_a_service_account_without_role_is_told_by_name(kit: Kit, role: str | None, text: str) -> None:
    if role is not None:
        kit.accounts.roles["team-a/sops"] = role
    data = kit.encrypt("--kms", kit.key())
    with pytest.raises(SopsError, match=f"team-a/sops.*{text}"):
        await kit.decrypt(data, account="sops")


async def test_static_keys_of_the_secret_win_over_the_service_account(kit: Kit) -> None:
    access, secret = kit.aws.standin.key()
    data = kit.encrypt("--kms", kit.key())
    entry = f"aws_access_key_id: {access}\naws_secret_access_key: {secret}\n".encode()
    assert b"hunter2" in await kit.decrypt(data, account="absent", secret={"sops.aws-kms": entry})
    assert kit.audits[-1].identity == "static keys"


async def test_the_encryption_context_and_aliases_are_those_of_the_file(kit: Kit) -> None:
    key = kit.key()
    kit.aws.client("kms").create_alias(AliasName="alias/team-a", TargetKeyId=key)
    alias = key.rpartition(":")[0] + ":alias/team-a"
    data = kit.encrypt("--kms", alias, "--encryption-context", "team:a,env:prod")
    assert b"hunter2" in await kit.decrypt(data)
    kit.cache.clear()
    with pytest.raises(SopsError, match="InvalidCiphertext"):
        await kit.decrypt(data.replace(b"env: prod", b"env: test"))


async def test_the_region_is_the_keys_own(kit: Kit) -> None:
    import boto3

    arguments = {**kit.aws.standin.client_arguments(), "region_name": "eu-central-1"}
    kms = boto3.client("kms", **arguments)
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    assert ":eu-central-1:" in arn
    assert b"hunter2" in await kit.decrypt(kit.encrypt("--kms", arn))


def test_multi_region_keys_aliases_and_other_partitions_have_their_region_in_the_arn() -> None:
    assert region_of("arn:aws:kms:us-east-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab") == "us-east-1"
    assert region_of("arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/a/b") == "us-gov-west-1"
    for wrong in ("", "alias/a", "arn:aws:kms:eu-west-1@evil.test/:123456789012:key/a", "arn:aws:iam::123456789012:x"):
        with pytest.raises(KeyUnavailableError):
            region_of(wrong)


async def test_a_role_in_the_file_is_assumed_from_the_service_accounts(kit: Kit) -> None:
    key = kit.key()
    account = kit.aws.irsa_role("a", subject="team-a:sops", allow=[("sts:AssumeRole", "*")])
    kit.accounts.roles["team-a/sops"] = account
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    role = kit.aws.role("keys", trust=trust, allow=[(["kms:Decrypt", "kms:Encrypt"], key)])
    data = kit.encrypt("--kms", f"{key}+{role}")
    assert b"hunter2" in await kit.decrypt(data, account="sops")
    kit.book.grant(kmsARNs=[key], roleARNs=[account])
    with pytest.raises(SopsError, match=f"does not grant role {role}"):
        await kit.decrypt(data, account="sops")


async def test_a_key_or_role_that_no_policy_grants_is_refused_fast_and_unasked(kit: Kit) -> None:
    mine = kit.key()
    kit.book.grant(kmsARNs=[mine], roleARNs=["arn:aws:iam::123456789012:role/team-a"])
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    stolen = kit.aws.role("platform", trust=trust, allow=[("kms:*", "*")])
    files = [kit.encrypt("--kms", kit.key()), kit.encrypt("--kms", f"{mine}+{stolen}")]
    commented = kit.encrypt(
        plain=b"# secret\na: b\n", rule=f"kms: '{kit.key()}', encrypted_comment_regex: secret"
    )  # fmt: skip
    await kit.calls()
    for data in (*files, commented):
        start = time.perf_counter()
        with pytest.raises(SopsError, match="does not grant"):
            await kit.decrypt(data)
        assert time.perf_counter() - start < 0.1
    assert await kit.calls() == 0


async def test_a_file_for_the_binary_is_opened_with_the_same_identity(kit: Kit) -> None:
    data = kit.encrypt(
        plain=b"# secret\na: hunter2\nb: c\n", rule=f"kms: '{kit.key()}', encrypted_comment_regex: secret"
    )
    assert b"hunter2" not in data
    assert b"a: hunter2" in await kit.decrypt(data)
