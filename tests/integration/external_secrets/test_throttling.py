"""AWS throttles: keys say so when it lasts, others go on, and what was throttled arrives when it can."""

from __future__ import annotations

import pytest

from tests.cluster import until

from .conftest import Bench, entry


@pytest.mark.timeout(300)
async def test_keys_that_stay_throttled_say_so_others_go_on_and_all_arrive_when_it_ends(bench: Bench) -> None:
    bench.create("db", "one")
    ssm = bench.aws.client("ssm")
    for number in range(3):
        ssm.put_parameter(Name=f"/p{number}", Value=f"v{number}", Type="String")
    await bench.store()
    await bench.store("ssm", "ParameterStore")
    await bench.aws.standin.fail("ssm:GetParameters", code="ThrottlingException", status=400, count=-1)
    await bench.secret(
        "slow", secretStoreRef={"name": "ssm"}, data=[entry(f"k{number}", f"/p{number}") for number in range(3)]
    )
    async with bench.run() as manager:
        message = await bench.until_ready("slow", "False", "Throttled")
        assert message.startswith("k0: Throttled: ")
        assert message.endswith("(and 2 more)")
        await bench.secret("quick", data=[entry("v", "db")])
        await bench.until_data("quick", v=b"one")
        text = manager.metrics.render().decode()
        assert 'aws_calls_total{api="ssm:GetParameters",identity="own",result="Throttled"}' in text
        assert "inhaul_external_secret_aws_limited 1.0" in text
        await bench.aws.standin.fail("ssm:GetParameters", code="ThrottlingException", count=0)

        async def arrived() -> bool:
            return await bench.data("slow") == {f"k{number}": f"v{number}".encode() for number in range(3)}

        await until(arrived, patience=90, what="the throttled keys")


@pytest.mark.timeout(300)
async def test_a_quota_is_kept_and_a_mass_still_arrives(bench: Bench) -> None:
    ssm = bench.aws.client("ssm")
    for number in range(60):
        ssm.put_parameter(Name=f"/p{number:02}", Value=f"v{number}", Type="String")
    await bench.store("ssm", "ParameterStore")
    for number in range(60):
        await bench.secret(f"s{number:02}", secretStoreRef={"name": "ssm"}, data=[entry("v", f"/p{number:02}")])
    await bench.aws.standin.throttle("ssm:GetParameters", rate=2, burst=1)
    async with bench.run():
        for number in range(60):
            wanted = f"v{number}".encode()

            async def arrived(name: str = f"s{number:02}", wanted: bytes = wanted) -> bool:
                return await bench.data(name) == {"v": wanted}

            await until(arrived, patience=90, what=f"s{number:02}")
    calls = await bench.aws.standin.calls()
    asked = sum(count for (name, _), count in calls.items() if name == "ssm:GetParameters")
    assert asked < 45  # six batches would be full; some are not, and some were refused: the rate is learnt from those
