"""The Git host of an automation is reached as its GitRepository says: through its proxy, as its GitHub App."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.api.source import GIT_REPOSITORIES
from controllers.image_automation.commit.remotes import PUSH_SECRET
from tests.integration.image_automation.conftest import KINDS, NS, Bench
from tests.integration.sources.hosts import ConnectProxy, Github

NOWHERE = "localhost:1"
"""Nothing listens there: only a proxy that maps it to the Git host leads on."""


async def prepared(bench: Bench, **source: Any) -> None:
    await bench.setup()
    await bench.cluster.admin.patch(GIT_REPOSITORIES, "fleet", NS, body={"spec": source})
    await bench.push("v1.1.0")
    await bench.repository()
    await bench.policy()
    await bench.automation()


def git_port(bench: Bench) -> int:
    return int(bench.git.url.rpartition(":")[2])


async def test_an_automation_fetches_and_pushes_through_the_proxy_of_its_repository(bench: Bench) -> None:
    async with ConnectProxy({NOWHERE: git_port(bench)}).running() as proxy:
        await bench.secret("proxy", **proxy.secret())
        await bench.secret("bad-proxy", **proxy.secret("other"))
        await prepared(bench, url=f"https://{NOWHERE}/fleet.git")
        async with bench.run():
            direct = await bench.until_ready("ImageUpdateAutomation", "bot", "False", holds="unreachable")
            assert await bench.commits() == 1 and not proxy.asked, direct
            for name in ("bad-proxy", "proxy"):
                spec = {"proxySecretRef": {"name": name}}
                await bench.cluster.admin.patch(GIT_REPOSITORIES, "fleet", NS, body={"spec": spec})
                await bench.request("ImageUpdateAutomation", "bot", name)
                if name == "bad-proxy":
                    lost = await bench.until_ready("ImageUpdateAutomation", "bot", "False", holds="the proxy refused")
                    assert "other" not in lost and not proxy.tunnels
            await bench.until_file("v1.1.0")
            await bench.until_ready("ImageUpdateAutomation", "bot")
    assert len(proxy.tunnels) >= 2 and set(proxy.tunnels) == {NOWHERE}, "one to fetch and one to push, at least"


async def test_another_secret_to_push_with_goes_through_the_same_proxy(bench: Bench) -> None:
    async with ConnectProxy({NOWHERE: git_port(bench)}).running() as proxy:
        await bench.secret("proxy", **proxy.secret())
        await prepared(bench, url=f"https://{NOWHERE}/fleet.git", proxySecretRef={"name": "proxy"})
        await bench.secret("writer", username="bot", password="bot-pw", **{"ca.crt": bench.git.ca_pem.decode()})
        body = {"metadata": {"annotations": {PUSH_SECRET: "writer"}}}
        await bench.cluster.admin.patch(KINDS["ImageUpdateAutomation"], "bot", NS, body=body)
        async with bench.run():
            await bench.until_file("v1.1.0")
    assert set(proxy.tunnels) == {NOWHERE}


@pytest.mark.parametrize("provider", ["github", "generic", None])
async def test_an_automation_logs_in_as_a_github_app_with_or_without_provider(
    bench: Bench, provider: str | None
) -> None:
    async with Github(bench.git).running() as github:
        await bench.secret("app", **github.secret())
        await prepared(bench, secretRef={"name": "app"}, provider=provider)
        async with bench.run():
            await bench.until_file("v1.1.0")
            await bench.until_ready("ImageUpdateAutomation", "bot")
    assert github.asked == ["77"], "one token for fetch and push"


async def test_a_provider_that_its_secret_does_not_fit_is_named(bench: Bench) -> None:
    await prepared(bench, provider="github")
    async with bench.run():
        text = await bench.until_ready("ImageUpdateAutomation", "bot", "False", reason="InvalidSourceConfiguration")
        assert text.startswith(f"GitRepository {NS}/fleet: spec.secretRef: Secret {NS}/git: found keys ca.crt")
        assert "expected GitHub App data for provider github" in text and "bot-pw" not in text
