"""Image automation's figures: `python -m benchmarks.image_automation [--quick]`, one JSON object on standard output.

The loop is whole: a registry, a Git host over https and an API server, all of the stand-in and in this one process, so
the times hold their work too. What is measured: a scan is asked for by an event → the commit is at the host; many
policies that change at once; the pure parts alone; and the memory of many tags in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace as Spec
from typing import TYPE_CHECKING, Any

from controllers.api.resource import Key
from controllers.image_automation.commit.setters import edit_tree
from controllers.image_automation.policy.policy import compile_policy
from controllers.image_automation.tags.reference import Ref
from controllers.image_automation.tags.scan import scanned
from controllers.image_automation.tags.store import TagStore, pack

if TYPE_CHECKING:
    from tests.integration.image_automation.conftest import Bench


def best_of(runs: int, work: Callable[[], Any]) -> float:
    """Milliseconds of the median run, in processor time: what others do on the machine is no part of it."""
    times = []
    for _ in range(runs):
        begun = time.process_time()
        work()
        times.append((time.process_time() - begun) * 1000)
    return round(statistics.median(times), 1)


def policies() -> dict[str, float]:
    """Milliseconds of one evaluation over 10,000 tags."""
    generator = random.Random(1)
    tags = [
        f"v{generator.randint(0, 30)}.{generator.randint(0, 200)}.{generator.randint(0, 99)}"
        f"{generator.choice(['', '', '-rc.1', '-g1a2b3c'])}"
        for _ in range(10_000)
    ]
    builds = [f"main-{generator.getrandbits(28):07x}-{1_700_000_000 + number}" for number in range(10_000)]
    none: dict[str, Any] = {"semver": None, "alphabetical": None, "numerical": None}
    pattern = Spec(pattern=r"^main-[a-f0-9]+-(?P<ts>[0-9]+)$", extract="$ts")
    cases = {
        "semver": (compile_policy(Spec(**{**none, "semver": Spec(range=">=1.0.0 <20.0.0")})), tags),
        "semver_caret": (compile_policy(Spec(**{**none, "semver": Spec(range="^7.1.0")})), tags),
        "numerical_extract": (compile_policy(Spec(**{**none, "numerical": Spec(order="asc")}), pattern), builds),
        "alphabetical": (compile_policy(Spec(**{**none, "alphabetical": Spec(order="asc")})), tags),
    }
    return {name: best_of(7, lambda p=policy, t=given: p.pick(t)) for name, (policy, given) in cases.items()}  # type: ignore[misc]


def edits() -> float:
    """Milliseconds to edit 1,000 marked files of some 50 lines."""
    filler = "".join(f"  key{number}: value {number}\n" for number in range(45))
    files = {
        f"apps/{number}.yaml": (
            f"apiVersion: v1\nkind: X\nmetadata: {{name: a{number}}}\nspec:\n{filler}"
            f'  image: r.io/app:1.0.0 # {{"$imagepolicy": "ns:app"}}\n'
        ).encode()
        for number in range(1000)
    }
    done: list[Any] = []
    milliseconds = best_of(3, lambda: done.append(edit_tree(files, {"ns:app": Ref("r.io/app", "2.0.0")})))
    assert len(done[0].contents) == 1000
    return milliseconds


def memory() -> float:
    """MiB of this process with the tags and push times of 5,000 repositories × 400 tags."""
    store, generator = TagStore(), random.Random(2)
    for number in range(5000):
        tags = {
            f"v1.{minor}.{number % 50}-{generator.getrandbits(28):07x}": 1_700_000_000 + minor for minor in range(400)
        }
        scan = scanned(tags, None)
        store.put(Key("team", f"r{number}"), pack(scan.tags, scan.revision, tags))
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


async def _image_objects(bench: Bench, many: int) -> None:
    await bench.push("v1.0.0")
    await bench.repository()
    await bench.policy()
    await bench.push("v1.0.0", "many")
    await bench.repository("many")
    for number in range(many):  # of one repository, so that they change together
        await bench.policy(f"p{number}", imageRepositoryRef={"name": "many"})
    await bench.automation()


async def _all_at_once(bench: Bench, many: int) -> tuple[float, int]:
    """The seconds until all policies of one repository are committed, and in how many commits."""
    await bench.push("v2.0.0", "many")
    before = await bench.commits()
    begun = time.monotonic()
    await bench.request("ImageRepository", "many", "all")
    for number in reversed(range(many)):  # one commit writes them all, so the rest is there with the first
        await bench.until_file(":v2.0.0", f"apps/f{number}.yaml")
    return time.monotonic() - begun, await bench.commits() - before


async def loop(directory: Path, pushes: int, many: int) -> dict[str, float]:
    """Seconds: event → commit p50 and p95; many policies that change within 300 ms → all of them committed."""
    from controllers.standin.cloud.git_server import GitServer, GitUser
    from controllers.standin.cloud.registry import Authenticator, RegistryServer, RegistryUser
    from controllers.standin.cloud.tls import Authority
    from tests.cluster import Cluster
    from tests.integration.image_automation.conftest import NS, Bench

    registry = RegistryServer(
        authority=Authority.create(), auth=Authenticator("bearer", {"ci": RegistryUser("pw", push=("*",))})
    )
    git = GitServer(directory / "srv", users=[GitUser("bot", "bot-pw", write=("fleet",))], ssh=False)
    await registry.start()
    await git.start()
    async with Cluster.standin(directory) as cluster:
        await cluster.namespace(NS)
        bench = Bench(cluster, git, registry)
        marker = 'image: {0}/{1}:v1.0.0 # {{"$imagepolicy": "team-a:{2}"}}\n'
        await bench.setup(text=marker.format(registry.host, "web", "web"))
        files = {
            f"apps/f{n}.yaml": marker.format(registry.host, "many", f"p{n}") if n < many else "a: b\n"
            for n in range(499)
        }
        await git.commit("fleet", files)
        await _image_objects(bench, many)
        times: list[float] = []
        async with bench.run():
            for number in range(many):
                await bench.until_ready("ImagePolicy", f"p{number}")
            for number in range(1, pushes + 1):
                await bench.push(f"v1.{number}.0")
                begun = time.monotonic()
                await bench.request("ImageRepository", "web", f"event {number}")
                await bench.until_file(f":v1.{number}.0")
                times.append(time.monotonic() - begun)
            took, commits = await _all_at_once(bench, many)
    await git.stop()
    await registry.stop()
    times.sort()
    return {
        "load_average_of_the_loop": round(os.getloadavg()[0], 1),
        "pushes": pushes,
        "event_to_commit_p50_s": round(times[len(times) // 2], 3),
        "event_to_commit_p95_s": round(times[int(len(times) * 0.95)], 3),
        "policies_at_once": many,
        "policies_at_once_s": round(took, 2),
        "policies_at_once_commits": commits,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.image_automation")
    parser.add_argument("--quick", action="store_true", help="5 pushes and 10 policies instead of 50 and 90")
    parser.add_argument("--memory", action="store_true", help="this figure alone")
    given = parser.parse_args()
    if given.memory:
        print(memory())
        return 0
    logging.disable(logging.WARNING)
    command = [sys.executable, "-m", "benchmarks.image_automation", "--memory"]
    resident = float(subprocess.run(command, capture_output=True, check=True).stdout)
    found: dict[str, Any] = {
        "load_average": round(os.getloadavg()[0], 1),
        "policy_10000_tags_ms": policies(),
        "edit_1000_files_ms": edits(),
        "tags_5000x400_rss_mib": resident,
    }
    with tempfile.TemporaryDirectory() as directory:
        found |= asyncio.run(loop(Path(directory), 5 if given.quick else 50, 10 if given.quick else 90))
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
