"""Beyond upstream: guards, holds, signatures and signed commits, on the whole loop."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import ssl
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from git import Repo

from controllers.api.image import IMAGE_POLICIES
from controllers.image_automation.policy.cosign import SIGNATURE, signature_tag
from tests.cluster import until

from .conftest import FILE, NS, Bench

PREFIX = "image.inhaul.dev/"


async def annotate(bench: Bench, **annotations: str | None) -> None:
    body = {"metadata": {"annotations": {PREFIX + name.replace("_", "-"): text for name, text in annotations.items()}}}
    await bench.cluster.admin.patch(IMAGE_POLICIES, "web", NS, body=body)


async def latest(bench: Bench) -> dict[str, str]:
    return ((await bench.get("ImagePolicy", "web")).get("status") or {}).get("latestRef") or {}


async def until_picked(bench: Bench, tag: str) -> dict[str, str]:
    async def picked() -> object:
        found = await latest(bench)
        return found if found.get("tag") == tag else None

    return await until(picked, what=f"latestRef {tag}")  # type: ignore[no-any-return]


async def rescan(bench: Bench, mark: str) -> None:
    await bench.request("ImageRepository", "web", mark)

    async def handled() -> bool:
        status = (await bench.get("ImageRepository", "web")).get("status") or {}
        return status.get("lastHandledReconcileAt") == mark

    await until(handled, what=f"scan {mark}")


def forget(bench: Bench, *tags: str) -> None:
    """The registry's list is partial from now on."""
    for tag in tags:
        del bench.registry.repositories["web"].tags[tag]


async def test_a_shorter_list_and_a_restart_never_bring_an_older_pick_unless_it_is_allowed(bench: Bench) -> None:
    await bench.setup()
    for tag in ("v1.0.0", "v1.1.0", "v1.2.0"):
        await bench.push(tag)
    await bench.repository()
    await bench.policy()
    await bench.automation()
    async with bench.run():
        await bench.until_file("v1.2.0")
        forget(bench, "v1.2.0")
        await rescan(bench, "partial")
        message = await bench.until_ready("ImagePolicy", "web", holds="v1.1.0 is older than v1.2.0")
        assert "allow-downgrade" in message and (await latest(bench))["tag"] == "v1.2.0"
    async with bench.run():  # nothing is stored any more, and the list is still partial
        await bench.request("ImageRepository", "web", "again")
        await bench.until_ready("ImagePolicy", "web", holds="is older than")
        assert (await latest(bench))["tag"] == "v1.2.0" and await bench.commits() == 2
        await annotate(bench, allow_downgrade="deleted")
        await bench.until_file("v1.1.0")
        found = (await bench.get("ImagePolicy", "web"))["status"]["conditions"]
        assert all(one["type"] != "NotAdvanced" for one in found)


async def test_a_reverted_commit_is_held_until_released_and_a_newer_image_goes_on(bench: Bench) -> None:
    await bench.setup()
    await bench.push("v1.1.0")
    await bench.repository()
    await bench.policy()
    await bench.automation()
    async with bench.run():
        await bench.until_file("v1.1.0")
        await bench.until_noted(await bench.git.head("fleet"))
        await bench.until_ready("ImageUpdateAutomation", "bot")
        old = FILE.format(host=bench.registry.host)
        await bench.git.commit("fleet", {"apps/a.yaml": old}, message="Revert the update")
        await bench.request("ImageUpdateAutomation", "bot", "look")
        told = "On hold, because the update was reverted in Git: web (v1.1.0)"
        await bench.until_ready("ImageUpdateAutomation", "bot", holds=told)
        await bench.request("ImageUpdateAutomation", "bot", "and again")
        said = await bench.until_ready("ImageUpdateAutomation", "bot", holds=told)
        assert "Not updated" not in said, "the marker of a held policy is in order"
        policy = await bench.get("ImagePolicy", "web")
        assert policy["metadata"]["annotations"][f"{PREFIX}held"] == "v1.1.0"
        await bench.request("ImageUpdateAutomation", "bot", "look again")
        await rescan(bench, "again")
        await asyncio.sleep(0.5)  # nothing is to happen: there is no event to wait for
        assert await bench.commits() == 3
        await bench.push("v1.2.0")
        await rescan(bench, "newer")
        await bench.until_file("v1.2.0")
        assert await bench.commits() == 4


async def test_a_released_hold_lets_the_image_through(bench: Bench) -> None:
    await bench.setup()
    await bench.push("v1.1.0")
    await bench.repository()
    await bench.policy()
    await annotate(bench, held="v1.1.0")
    await bench.automation()
    async with bench.run():
        await bench.until_ready("ImagePolicy", "web", "False", holds="is held")
        await annotate(bench, held=None)
        await bench.until_file("v1.1.0")


async def sign(bench: Bench, digest: str, key: ec.EllipticCurvePrivateKey, *, covers: str = "") -> None:
    """What `cosign sign` leaves in a registry."""
    payload = json.dumps(
        {
            "critical": {
                "identity": {"docker-reference": f"{bench.registry.host}/web"},
                "image": {"docker-manifest-digest": covers or digest},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    ).encode()
    signature = base64.b64encode(key.sign(payload, ec.ECDSA(hashes.SHA256()))).decode()
    config = b"{}"
    repository = bench.registry.repositories["web"]
    names = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in (payload, config)]
    repository.blobs.update(zip(names, (payload, config), strict=True))
    layer = {"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "size": len(payload), "digest": names[0],
             "annotations": {SIGNATURE: signature}}  # fmt: skip
    media = "application/vnd.oci.image.manifest.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": media,
        "layers": [layer],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": names[1]},
    }
    assert bench.registry.authority is not None
    context = ssl.create_default_context(cadata=bench.registry.authority.pem.decode())
    async with httpx.AsyncClient(verify=context) as client:
        url = f"{bench.registry.url}/v2/web/manifests/{signature_tag(digest)}"
        token = (
            await client.get(
                f"{bench.registry.url}/token", params={"scope": "repository:web:pull,push"}, auth=("ci", "pw")
            )
        ).json()["token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": media}
        answer = await client.put(url, content=json.dumps(manifest).encode(), headers=headers)
        assert answer.status_code == 201, answer.text


async def test_the_newest_image_that_the_key_signed_is_taken_and_its_verified_digest_written(bench: Bench) -> None:
    key, stranger = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    await bench.setup()
    await bench.secret("cosign", **{"cosign.pub": pem.decode()})
    digests = {tag: await bench.push(tag) for tag in ("v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0")}
    await sign(bench, digests["v1.1.0"], key)
    await sign(bench, digests["v1.2.0"], stranger)  # another's key
    await sign(bench, digests["v1.3.0"], key, covers=digests["v1.1.0"])  # a signature moved to another image
    await bench.repository()
    await bench.policy()
    await annotate(bench, cosign_key="secret/cosign")
    await bench.automation()
    async with bench.run():
        text = await bench.until_file("v1.1.0@")
        assert digests["v1.1.0"] in text
        await sign(bench, digests["v1.4.0"], key)
        await rescan(bench, "signed")
        assert digests["v1.4.0"] in await bench.until_file("v1.4.0@")


async def test_a_tracked_tag_is_followed_by_its_digest_and_platforms_are_looked_at(bench: Bench) -> None:
    await bench.setup()
    first = await bench.push("stable")
    await bench.repository()
    await bench.policy(semver=">=9")
    await annotate(bench, track_tag="stable")
    await bench.automation()
    async with bench.run():
        await bench.until_file(f"stable@{first}")
        second = await bench.push("stable")
        if second != first:
            await rescan(bench, "moved")
            await bench.until_file(f"stable@{second}")
        await annotate(bench, track_tag=None, platform="plan9/mips")
        await bench.push("v9.0.0")
        await rescan(bench, "platform")
        await bench.until_ready("ImagePolicy", "web", holds="v9.0.0 is not for plan9/mips")


async def test_annotations_that_are_none_are_refused_by_name(bench: Bench) -> None:
    await bench.setup()
    await bench.push("v1.1.0")
    await bench.repository()
    await bench.policy()
    async with bench.run():
        await bench.until_ready("ImagePolicy", "web")
        for name, text in (("min-age", "soon"), ("order", "x"), ("minage", "1h"), ("cosign-key", "k8s://a")):
            await annotate(bench, **{name: text})
            await bench.until_ready("ImagePolicy", "web", "False", reason="InvalidPolicy", holds=f"{PREFIX}{name}")
            await annotate(bench, **{name: None})
        await annotate(bench, ignore_tags="v1.1.*", min_age="1h")
        await bench.until_ready("ImagePolicy", "web", holds="v1.1.0 is ignored")


async def test_commits_are_signed_with_the_key_of_the_automation_and_need_no_name(bench: Bench, tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    await bench.setup()
    await bench.secret("signing", identity=private.decode())
    await bench.push("v1.1.0")
    await bench.repository()
    await bench.policy()
    wanted = {"author": {"email": "bot@example.com"}, "signingKey": {"type": "ssh", "secretRef": {"name": "signing"}}}
    await bench.image(
        "ImageUpdateAutomation",
        "bot",
        interval="1h",
        sourceRef={"kind": "GitRepository", "name": "fleet"},
        git={"commit": wanted, "push": {"branch": "main"}},
        update={"strategy": "Setters", "path": "./apps"},
    )
    async with bench.run():
        await bench.until_file("v1.1.0")
    allowed = tmp_path / "allowed"
    allowed.write_bytes(b"bot@example.com " + public + b"\n")
    config = ["-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={allowed}"]
    await bench.git.git("fleet", *config, "verify-commit", "main")
    # and as another reader of git objects sees it
    with Repo(next((tmp_path / "srv").rglob("HEAD")).parent) as repo:
        commit = repo.commit("main")
        assert commit.gpgsig.startswith("-----BEGIN SSH SIGNATURE-----")
        assert (commit.author.name, commit.author.email) == ("bot@example.com", "bot@example.com")
        assert [one.b_path for one in commit.parents[0].diff(commit)] == ["apps/a.yaml"]
