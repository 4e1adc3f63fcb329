"""Events that were lost are found by the sweep, long before the next poll, at the price of a few listing calls."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from controllers.api.external_secrets import EXTERNAL_SECRETS, SECRET_STORES
from controllers.external_secrets.events.version_diff import ANNOTATION
from controllers.runtime.manager import Manager
from tests.cluster import until

from .conftest import NAMESPACE, Bench, entry


async def swept(bench: Bench, name: str) -> None:
    body = {"metadata": {"annotations": {ANNOTATION: "1s"}}}
    await bench.cluster.admin.patch(SECRET_STORES, name, NAMESPACE, body=body)


def run(bench: Bench) -> AbstractAsyncContextManager[Manager]:
    return bench.run(external_secrets_sweep_floor="1")


async def listings(bench: Bench, call: str) -> int:
    return sum(count for (name, _), count in (await bench.aws.standin.calls()).items() if name == call)


async def test_a_lost_event_is_found_by_the_sweep_and_only_that_secret_is_read_again(bench: Bench) -> None:
    arn = bench.create("team/db", "one")
    bench.create("team/quiet", "same")
    ssm = bench.aws.client("ssm")
    ssm.put_parameter(Name="/host", Value="a", Type="String")
    await bench.store()
    await bench.store("ssm", "ParameterStore")
    await bench.secret("name", data=[entry("v", "team/db")])
    await bench.secret("arn", data=[entry("v", arn)])
    await bench.secret("quiet", data=[entry("v", "team/quiet")])
    await bench.secret("param", secretStoreRef={"name": "ssm"}, data=[entry("v", "/host")])
    await bench.secret("found", dataFrom=[{"find": {"name": {"regexp": "^team/(db|new)"}}}])
    for name in ("aws", "ssm"):
        await swept(bench, name)
    async with run(bench):
        for name in ("name", "arn"):
            await bench.until_data(name, v=b"one")
        await bench.until_data("found", team_db=b"one")
        await bench.until_data("param", v=b"a")
        await bench.until_data("quiet", v=b"same")
        before = await bench.cluster.admin.get(EXTERNAL_SECRETS, "quiet", NAMESPACE)
        seen = await listings(bench, "secretsmanager:ListSecrets")

        async def again() -> bool:
            return await listings(bench, "secretsmanager:ListSecrets") >= seen + 2

        await until(again, patience=30, what="a sweep")
        bench.put("team/db", "two")
        bench.create("team/new", "first")
        ssm.put_parameter(Name="/host", Value="b", Type="String", Overwrite=True)
        for name in ("name", "arn"):
            await bench.until_data(name, v=b"two")
        await bench.until_data("param", v=b"b")
        await bench.until_data("found", team_db=b"two", team_new=b"first")
        after = await bench.cluster.admin.get(EXTERNAL_SECRETS, "quiet", NAMESPACE)
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_a_secret_in_its_recovery_window_is_found_gone_and_found_again(bench: Bench) -> None:
    bench.create("team/db", "one")
    bench.create("team/other", "x")
    await bench.store()
    await swept(bench, "aws")
    await bench.secret("gone", data=[entry("v", "team/db")], target={"deletionPolicy": "Delete"})
    async with run(bench):
        await bench.until_data("gone", v=b"one")
        manager = bench.aws.client("secretsmanager")
        manager.delete_secret(SecretId="team/db", RecoveryWindowInDays=7)

        async def deleted() -> bool:
            return await bench.found("gone") is None

        await until(deleted, patience=30, what="the Secret's end")
        manager.restore_secret(SecretId="team/db")
        await bench.until_data("gone", v=b"one")


async def test_a_sweep_reads_every_page(bench: Bench) -> None:
    for number in range(110):
        bench.create(f"team/{number:03}", "x")
    for number in range(5):
        bench.create(f"foreign/{number}", "x")
    await bench.store()
    await swept(bench, "aws")
    await bench.secret("first", data=[entry("v", "team/000")])
    await bench.secret("last", data=[entry("v", "team/109")])
    async with run(bench):
        await bench.until_data("first", v=b"x")
        await bench.until_data("last", v=b"x")
        bench.put("team/109", "y")
        await bench.until_data("last", v=b"y")


async def test_a_sweep_that_may_not_list_says_so_and_hurts_nothing(bench: Bench) -> None:
    bench.create("team/db", "one")
    await bench.store()
    await swept(bench, "aws")
    await bench.secret("mine", data=[entry("v", "team/db")])
    await bench.aws.standin.fail("secretsmanager:ListSecrets", code="AccessDeniedException", status=400, count=-1)
    async with run(bench) as manager:
        await bench.until_data("mine", v=b"one")

        async def refused() -> bool:
            text = manager.metrics.render().decode()
            return 'sweeps_total{result="AccessDenied",service="SecretsManager"}' in text

        await until(refused, patience=30, what="the refusal in the metrics")
        assert (await bench.ready("mine"))[0] == "True"
