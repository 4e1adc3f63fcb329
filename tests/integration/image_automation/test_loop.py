"""From a pushed image to a commit, and what stops it."""

from __future__ import annotations

import asyncio

from controllers.api.image import IMAGE_UPDATE_AUTOMATIONS
from controllers.image_automation.commit.remotes import PUSH_SECRET
from controllers.standin.cloud.git_server import GitUser

from .conftest import FILE, NS, Bench


async def test_a_pushed_image_becomes_one_commit_that_changes_one_scalar(bench: Bench) -> None:
    await bench.setup()
    await bench.push("v1.0.0")
    digest = await bench.push("v1.1.0")
    await bench.push("v2.0.0-rc.1")
    await bench.repository()
    await bench.policy(digestReflectionPolicy="IfNotPresent")
    await bench.automation()
    async with bench.run():
        text = await bench.until_file("v1.1.0")
        assert text == FILE.format(host=bench.registry.host).replace("v1.0.0", f"v1.1.0@{digest}")
        message = await bench.until_ready("ImagePolicy", "web")
        assert message == f"Latest image tag for {bench.registry.host}/web resolved to v1.1.0 with digest {digest}"
        found = (await bench.get("ImageRepository", "web"))["status"]
        assert found["lastScanResult"]["tagCount"] == 3 and found["canonicalImageName"].endswith("/web")
        head = await bench.git.head("fleet")
        status = await bench.until_noted(head)
        assert await bench.until_ready("ImageUpdateAutomation", "bot") == "repository up-to-date"
        assert status["observedSourceRevision"] == f"main@sha1:{head}"
        assert status["observedPolicies"]["web"]["tag"] == "v1.1.0"
        body = await bench.git.git("fleet", "log", "-1", "--format=%an <%ae>%n%B", head)
        assert body.startswith("bot <bot@example.com>\nUpdate from image update automation\n\n")
        assert f"Image-Policy: team-a/web {bench.registry.host}/web:v1.1.0@{digest}" in body
        await bench.push("v1.2.0")
        await bench.request("ImageRepository", "web", "now")
        await bench.until_file("v1.2.0")
        message = await bench.until_ready("ImagePolicy", "web", holds="v1.2.0")
        assert "(previously" in message
        assert await bench.commits() == 3


async def test_after_a_crash_between_push_and_status_nothing_is_committed_again_and_the_commit_is_noted(
    bench: Bench,
) -> None:
    await bench.setup()
    await bench.push("v1.1.0")
    await bench.repository()
    await bench.policy()
    await bench.automation()
    async with bench.run():
        await bench.until_file("v1.1.0")
        await bench.until_noted(await bench.git.head("fleet"))
    body = {"status": {"lastPushCommit": None, "observedPolicies": None, "observedSourceRevision": None}}
    await bench.cluster.admin.patch(IMAGE_UPDATE_AUTOMATIONS, "bot", NS, body=body, subresource="status")
    async with bench.run():
        await bench.until_noted(await bench.git.head("fleet"))
        assert await bench.commits() == 2


async def test_commits_of_others_at_the_same_time_are_all_kept(bench: Bench) -> None:
    await bench.setup()
    await bench.push("v1.1.0")
    await bench.repository()
    await bench.policy()
    await bench.automation()

    async def human() -> None:
        for number in range(15):
            await bench.git.commit("fleet", {f"notes/{number}.txt": "x"}, message=f"note {number}")

    async with bench.run():
        await asyncio.gather(human(), bench.until_file("v1.1.0"))
        assert await bench.commits() == 17
        names = await bench.git.git("fleet", "ls-tree", "-r", "--name-only", "main")
        assert names.count("notes/") == 15


async def test_many_automations_of_one_branch_push_once(bench: Bench) -> None:
    await bench.setup()
    for number in range(4):
        text = FILE.format(host=bench.registry.host)
        await bench.git.commit("fleet", {f"apps/{number}/a.yaml": text})
    before = await bench.commits()
    await bench.push("v1.1.0")
    await bench.repository()
    await bench.policy()
    for number in range(4):
        await bench.automation(f"bot-{number}", path=f"apps/{number}")
    pushed = []

    async def remember(push: object) -> None:
        pushed.append(push)

    bench.git.on_push = remember
    async with bench.run():
        for number in range(4):
            await bench.until_file("v1.1.0", f"apps/{number}/a.yaml")
        assert await bench.commits() == before + 4
        assert len(pushed) <= 2


async def test_a_push_branch_that_is_not_there_is_made_from_the_checkout_and_the_refspec_follows(bench: Bench) -> None:
    await bench.setup()
    await bench.push("v1.1.0")
    await bench.repository()
    await bench.policy()
    await bench.automation(
        branch="bot/images", options={"ci.skip": ""}, refspec="refs/heads/bot/images:refs/heads/review"
    )
    async with bench.run():
        await bench.until_file("v1.1.0", branch="bot/images")
        await bench.until_noted(await bench.git.head("fleet", "bot/images"))
        assert await bench.git.head("fleet", "review") == await bench.git.head("fleet", "bot/images")
        assert await bench.commits("main") == 1


async def test_each_fault_has_its_own_reason_while_the_rest_goes_on(bench: Bench) -> None:
    text = FILE.format(host=bench.registry.host) + 'x: y # {"$imagepolicy": "team-a:web:size"}\n'
    await bench.setup(text=text)
    await bench.push("v1.1.0")
    await bench.git.commit("fleet", {"apps/bad.yaml": '{{ if }}\na: b # {"$imagepolicy": "team-a:web"}\n'})
    await bench.repository()
    await bench.policy()
    await bench.automation()
    await bench.image("ImageRepository", "scheme", image="https://x.io/a", interval="1h")
    await bench.image("ImageRepository", "anonymous", image=f"{bench.registry.host}/web", interval="1h",
                      certSecretRef={"name": "ca"})  # fmt: skip
    await bench.image("ImageRepository", "metadata", image="169.254.169.254/web", interval="1h", insecure=True)
    for name, policy in (("range", {"semver": {"range": "*-*"}}), ("none", {"semver": {"range": ">=9"}})):
        await bench.image("ImagePolicy", name, imageRepositoryRef={"name": "web"}, policy=policy)
    await bench.policy("missing")
    await bench.automation("escape", path="../..")
    await bench.automation("nowhere", path="./nope")
    await bench.automation("branch", branch="--upload-pack=x")
    async with bench.run():
        await bench.until_file("v1.1.0")
        message = await bench.until_ready("ImageUpdateAutomation", "bot", holds="Not updated")
        assert "apps/a.yaml:4: unknown suffix" in message and "apps/bad.yaml: not YAML" in message
        await bench.until_ready("ImageRepository", "scheme", "False", reason="ImageURLInvalid")
        await bench.until_ready("ImageRepository", "anonymous", "False", reason="AuthenticationFailed")
        await bench.until_ready("ImageRepository", "metadata", "False", holds="metadata")
        await bench.until_ready("ImagePolicy", "range", "False", reason="InvalidPolicy", holds="spec.policy.semver")
        await bench.until_ready("ImagePolicy", "none", "False", reason="Failure")
        await bench.until_ready("ImagePolicy", "missing", "False", reason="DependencyNotReady")
        await bench.until_ready("ImageUpdateAutomation", "escape", "False", holds="'..'")
        await bench.until_ready("ImageUpdateAutomation", "nowhere", "False", holds="not a directory")
        await bench.until_ready("ImageUpdateAutomation", "branch", "False", reason="InvalidSourceConfiguration")
        stalled = (await bench.get("ImagePolicy", "range"))["status"]["conditions"]
        assert any(one["type"] == "Stalled" and one["status"] == "True" for one in stalled)


async def test_refused_git_credentials_are_named_and_nothing_is_written(bench: Bench) -> None:
    await bench.setup()
    await bench.secret("git", username="bot", password="wrong", **{"ca.crt": bench.git.ca_pem.decode()})
    await bench.push("v1.1.0")
    await bench.repository()
    await bench.policy()
    await bench.automation()
    async with bench.run():
        message = await bench.until_ready("ImageUpdateAutomation", "bot", "False", reason="AuthenticationFailed")
        assert "wrong" not in message and await bench.commits() == 1


async def test_an_automation_writes_only_where_its_namespace_may(bench: Bench) -> None:
    await bench.setup(path="apps/a.yaml")
    await bench.git.commit("fleet", {"team-b/b.yaml": FILE.format(host=bench.registry.host)})
    url = bench.git.https_url("fleet")
    policy = {
        "apiVersion": "inhaul.dev/v1alpha1",
        "kind": "TenantPolicy",
        "metadata": {"name": "team-a"},
        "spec": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NS}},
            "registries": [f"{bench.registry.host}/*"],
            "git": [
                {"url": url, "branches": ["main"]},
                {"url": url, "branches": ["main"], "paths": ["apps/**"], "access": "write"},
            ],
        },
    }
    await bench.cluster.apply(policy)
    await bench.push("v1.1.0")
    await bench.repository()
    await bench.policy()
    await bench.automation(path=".")
    await bench.image("ImageRepository", "foreign", image="ghcr.io/other/web", interval="1h")
    async with bench.run():
        await bench.until_file("v1.1.0")
        message = await bench.until_ready("ImageUpdateAutomation", "bot", "False", reason="AccessDenied")
        assert message.startswith("team-b/b.yaml: ")
        assert b"v1.0.0" in await bench.git.read("fleet", "team-b/b.yaml")
        await bench.until_ready("ImageRepository", "foreign", "False", reason="AccessDenied")


async def test_policies_that_change_together_are_one_commit(bench: Bench) -> None:
    marker = '{0}: {1}/web:v1.0.0 # {{"$imagepolicy": "team-a:{0}"}}\n'
    names = [f"p{number}" for number in range(30)]
    await bench.setup(text="".join(marker.format(name, bench.registry.host) for name in names))
    await bench.push("v1.0.0")
    await bench.repository()
    for name in names:
        await bench.policy(name, imageRepositoryRef={"name": "web"})
    await bench.automation()
    async with bench.run(image_automation_window="2", image_automation_window_cap="60"):
        for name in names:
            await bench.until_ready("ImagePolicy", name)
        await bench.until_ready("ImageUpdateAutomation", "bot")
        await bench.push("v2.0.0")
        await bench.request("ImageRepository", "web", "now")
        text = await bench.until_file("v2.0.0")
        assert text.count("web:v2.0.0") == 30
        status = await bench.until_noted(await bench.git.head("fleet"))
        assert len(status["observedPolicies"]) == 30
        assert await bench.commits() == 2


async def test_one_secret_reads_and_another_writes(bench: Bench) -> None:
    users = [GitUser("bot", "bot-pw", write=("fleet",)), GitUser("reader", "reader-pw", read=("fleet",))]
    bench.git.set_users(users)
    await bench.setup()
    ca = bench.git.ca_pem.decode()
    await bench.secret("git", **{"username": "reader", "password": "reader-pw", "ca.crt": ca})
    await bench.push("v1.1.0")
    await bench.repository()
    await bench.policy()
    await bench.automation()

    async def annotate(name: str | None) -> None:
        body = {"metadata": {"annotations": {PUSH_SECRET: name, "reconcile.fluxcd.io/requestedAt": f"{name}"}}}
        await bench.cluster.admin.patch(IMAGE_UPDATE_AUTOMATIONS, "bot", NS, body=body)

    async with bench.run():
        await bench.until_ready("ImageUpdateAutomation", "bot", "False", holds="pushing to")
        await annotate("missing")
        await bench.until_ready("ImageUpdateAutomation", "bot", "False", holds=f"{PUSH_SECRET}: Secret {NS}/missing")
        assert await bench.commits() == 1
        await bench.secret("writer", **{"username": "bot", "password": "bot-pw", "ca.crt": ca})
        await annotate("writer")
        await bench.until_file("v1.1.0")
        await bench.until_ready("ImageUpdateAutomation", "bot")
