"""`inhaul secrets` against a cluster and AWS: what it says is what is there, and no value is said."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers.api.external_secrets import EXTERNAL_SECRETS
from controllers.api.resource import Manifest
from controllers.cli import main
from tests.cluster import until
from tests.integration.conftest import Aws

from .conftest import NAMESPACE, Bench, entry, external_secret, store

CANARY = "CANARY-5f1c9a"


@pytest.fixture
def says(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command on the cluster; (exit code, output, errors)."""

    async def run(*words: str) -> tuple[int, str, str]:
        kubeconfig = str(tmp_path / "kubeconfig")
        code = await asyncio.to_thread(main, ["secrets", *words, "-n", NAMESPACE, "--kubeconfig", kubeconfig])
        out, err = capsys.readouterr()
        assert CANARY not in out + err
        return code, out, err

    return run


def written(tmp_path: Path, *manifests: Manifest) -> str:
    path = tmp_path / "given.yaml"
    path.write_text(yaml.safe_dump_all(manifests))
    return str(path)


async def test_explain_tells_where_each_key_came_from_and_why_one_did_not_come(bench: Bench, says: Any) -> None:
    arn = bench.create("shop/db", json.dumps({"user": "app", "password": CANARY}))
    await bench.store()
    await bench.secret(
        "good", data=[entry("password", "shop/db", property="password")], dataFrom=[{"extract": {"key": "shop/db"}}]
    )
    await bench.secret("bad", data=[entry("a", "shop/absent")])
    async with bench.run():
        await bench.until_ready("good")
        await bench.until_ready("bad", "False")

        code, out, _ = await says("explain", "good", "-o", "json")
        found = json.loads(out)
        assert (code, found["ready"], found["target"]["state"]) == (0, "True", "as it was written")
        made = {each["key"]: each for key in found["keys"] for each in key["made"]}
        assert set(made) == {"password", "user"} and {each["arn"] for each in made.values()} == {arn}
        version = bench.aws.client("secretsmanager").get_secret_value(SecretId="shop/db")["VersionId"]
        assert {(each["version"], each["stage"]) for each in made.values()} == {(version, "AWSCURRENT")}
        assert not found["refresh"]["due"] and found["refresh"]["next"] > found["refresh"]["last"]

        code, out, _ = await says("explain", "good")
        assert code == 0 and "Ready=True" in out and arn in out and "next 2" in out

        code, out, _ = await says("explain", "bad")
        assert code == 1 and "no secret of this name" in out and "a: NotFound" in out and "not read yet" in out

        assert (await says("explain", "absent"))[0] == 2
        await bench.secret("lost", data=[entry("a", "shop/db")], secretStoreRef={"name": "nowhere"})
        await bench.until_ready("lost", "False")
        code, _, err = await says("explain", "lost")
        assert code == 2 and "SecretStore nowhere (namespace payments): not found" in err and "Ready=False" in err


async def test_diff_names_what_would_change_and_no_value(bench: Bench, says: Any, tmp_path: Path) -> None:
    bench.create("shop/db", CANARY)
    bench.create("shop/new", CANARY + "2")
    await bench.store()
    await bench.secret("db", data=[entry("password", "shop/db"), entry("old", "shop/db")])
    same = external_secret("db", data=[entry("password", "shop/db"), entry("old", "shop/db")])
    changed = external_secret(
        "db", data=[entry("password", "shop/new"), entry("added", "shop/db")], refreshInterval="5m"
    )
    async with bench.run():
        await bench.until_ready("db")
        code, out, _ = await says("diff", "-f", written(tmp_path, same))
        assert code == 0 and "not compared" in out
        code, out, _ = await says("diff", "-f", written(tmp_path, same), "--fetch")
        assert (code, out.strip()) == (0, f"{NAMESPACE}/db: no difference")

        code, out, _ = await says(
            "diff", "-f", written(tmp_path, changed, external_secret("new", data=[entry("k", "shop/db")])), "--fetch"
        )
        assert code == 1
        lines = [line.strip() for line in out.splitlines()]
        assert "ExternalSecret spec.refreshInterval: 1h -> 5m" in lines
        assert "ExternalSecret spec.data[0].remoteRef.key: shop/db -> shop/new" in lines
        assert {"Secret db data.added: would be added", "Secret db data.old: would be removed"} < set(lines)
        assert "Secret db data.password: would change" in lines
        assert "ExternalSecret: would be created" in lines

        values = tmp_path / "values.yaml"
        values.write_text(yaml.safe_dump({"shop/db": CANARY, "shop/new": CANARY}))
        code, out, _ = await says("diff", "-f", written(tmp_path, changed), "--with", str(values), "-o", "json")
        paths = {each["path"] for each in json.loads(out)[0]["differences"] if each["object"] == "Secret db"}
        assert (code, paths) == (1, {"data.added", "data.old"})

        # asking changed nothing
        live = await bench.cluster.find(EXTERNAL_SECRETS, "db", NAMESPACE)
        assert live is not None and live["metadata"]["generation"] == 1

        refused = external_secret("db", data=[entry("password", "shop/db")], refreshPolicy="Sometimes")
        code, _, err = await says("diff", "-f", written(tmp_path, refused))
        assert code == 2 and "refreshPolicy" in err


async def test_the_planned_policy_is_enough_and_no_more(aws: Aws, bench: Bench, tmp_path: Path, capsys: Any) -> None:
    """The role gets what `plan --iam` prints: the planned secrets come, and one beside them does not."""
    role = aws.role("team", trust={"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})
    given = store("aws", {"aws": {"service": "SecretsManager", "region": aws.standin.region, "role": role}})
    params = store("params", {"aws": {"service": "ParameterStore", "region": aws.standin.region, "role": role}})
    for name in ("team/one", "team/two", "other"):
        bench.create(name, "v")
    ssm = aws.client("ssm")
    for name in ("/team/flag", "/other"):
        ssm.put_parameter(Name=name, Value="v", Type="SecureString")
    planned = [
        external_secret("keys", data=[entry("one", "team/one"), entry("two", "team/two")]),
        external_secret("found", dataFrom=[{"find": {"name": {"regexp": "^team/"}}}]),
        external_secret("flags", data=[entry("flag", "/team/flag")], secretStoreRef={"name": "params"}),
        external_secret("path", dataFrom=[{"find": {"path": "/team"}}], secretStoreRef={"name": "params"}),
    ]
    words = ["secrets", "plan", "-f", written(tmp_path, given, params, *planned), "--iam"]
    assert await asyncio.to_thread(main, words) == 0
    policy = json.loads(capsys.readouterr().out)[role]
    aws.client("iam").put_role_policy(RoleName="team", PolicyName="planned", PolicyDocument=json.dumps(policy))
    beside = [
        external_secret("beyond", data=[entry("k", "other")]),
        external_secret("further", data=[entry("k", "/other")], secretStoreRef={"name": "params"}),
    ]
    await bench.cluster.apply(given, params, *planned, *beside)
    async with bench.run():
        for name in ("keys", "found", "flags", "path"):
            await bench.until_ready(name)
        assert await bench.data("found") == {"team_one": b"v", "team_two": b"v"}
        for name in ("beyond", "further"):
            await bench.until_ready(name, "False", "AccessDenied")

        async def secretless() -> bool:
            return await bench.found("beyond") is None

        assert await until(secretless)
