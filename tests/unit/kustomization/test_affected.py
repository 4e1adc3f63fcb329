"""Which Kustomizations a new revision concerns, and when each of them is looked at."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controllers.api.resource import Key, Manifest
from controllers.kustomization.watch.affected import concerned, reads_of
from controllers.kustomization.watch.source_changes import PACE, SourceWaker
from controllers.runtime.queue import Verdict, WorkQueue
from controllers.runtime.result import NotReady
from controllers.sources.tree import Node, Reads, changed_directories
from tests.unit.runtime.virtual_time import run

FLEET = Key("flux-system", "fleet")


def kustomization(name: str, *depends_on: str) -> Manifest:
    spec = {"dependsOn": [{"name": each} for each in depends_on]}
    return {"metadata": {"name": name, "namespace": "team"}, "spec": spec}


def key(name: str) -> Key:
    return Key("team", name)


def nodes(**files: str) -> dict[str, Node]:
    return {path.replace("__", "/"): Node(content) for path, content in files.items()}


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({"apps__a__x": "1", "apps__b__x": "1"}, set()),
        ({"apps__a__x": "2", "apps__b__x": "1"}, {"apps/a", "apps", ""}),
        ({"apps__a__x": "1"}, {"apps/b", "apps", ""}),
        ({"apps__a__x": "1", "apps__b__x": "1", "apps__b__deep__y": "1"}, {"apps/b/deep", "apps/b", "apps", ""}),
    ],
    ids=["the same", "another content", "a file gone", "a file come"],
)
def test_a_difference_concerns_every_directory_above_it(after: dict[str, str], expected: set[str]) -> None:
    assert changed_directories(nodes(apps__a__x="1", apps__b__x="1"), nodes(**after)) == expected


def test_a_render_that_reads_a_base_is_concerned_by_it_and_not_by_its_neighbour() -> None:
    users = [kustomization("a"), kustomization("b")]
    reads = {
        key("a"): reads_of("apps/a", ["apps/a/kustomization.yaml", "bases/web/deployment.yaml"]),
        key("b"): reads_of("apps/b", ["apps/b/all.yaml"]),
    }
    base = changed_directories(nodes(bases__web__deployment="1"), nodes(bases__web__deployment="2"))
    assert concerned(users, base, reads.get) == ([key("a")], [key("b")])


def test_a_new_file_below_its_directory_concerns_a_render() -> None:
    found = changed_directories({}, {"apps/a/more/new.yaml": Node("1")})
    assert concerned([kustomization("a")], found, {key("a"): reads_of("apps/a", [])}.get) == ([key("a")], [])


def test_what_never_ended_well_is_looked_at_at_once() -> None:
    users = [kustomization("failing"), kustomization("fine")]
    reads = {key("fine"): reads_of("apps/fine", [])}
    assert concerned(users, frozenset({"apps/other"}), reads.get) == ([key("failing")], [key("fine")])


def test_where_the_difference_is_not_known_all_are_looked_at_at_once() -> None:
    users = [kustomization("a"), kustomization("b")]
    assert concerned(users, None, lambda _: frozenset({"x"})) == ([key("a"), key("b")], [])


def test_a_dependency_comes_with_its_dependant_however_far_down() -> None:
    users = [kustomization("app", "db"), kustomization("db", "crds"), kustomization("crds"), kustomization("other")]
    reads = {key(each): reads_of(f"apps/{each}", []) for each in ("app", "db", "crds", "other")}
    now, later = concerned(users, frozenset({"apps/app", "apps", ""}), reads.get)
    assert (now, later) == ([key("app"), key("db"), key("crds")], [key("other")])


def test_dependencies_in_a_circle_end() -> None:
    users = [kustomization("a", "b"), kustomization("b", "a")]
    reads = {key(each): reads_of(each, []) for each in ("a", "b")}
    assert concerned(users, frozenset({"a", ""}), reads.get) == ([key("a"), key("b")], [])


# When


class Fleet:
    """A thousand Kustomizations of one source, each with a path of its own; `differences` are what commits change."""

    def __init__(self, count: int, differences: list[Reads | Exception]) -> None:
        self.users = [kustomization(str(number)) for number in range(count)]
        self.differences, self.compared = differences, list[tuple[str, str]]()
        self.ran: list[tuple[float, str]] = []
        self.queue = WorkQueue()
        self.waker = SourceWaker(self, self.queue, lambda _: self.users, lambda key: reads_of(f"apps/{key.name}", []))

    async def changed(self, before: Manifest, after: Manifest) -> Reads | None:
        self.compared.append((_revision(before), _revision(after)))
        difference = self.differences.pop(0)
        if isinstance(difference, Exception):
            raise difference
        return difference

    async def work(self, key: Key) -> Verdict:
        self.ran.append((asyncio.get_running_loop().time(), key.name))
        return Verdict()

    async def script(self, *steps: tuple[float, str, str]) -> None:
        """Steps are (pause before, revision before, revision after)."""
        tasks = [asyncio.create_task(self.queue.run(self.work)), asyncio.create_task(self.waker.run())]
        for pause, before, after in steps:
            if pause:
                await asyncio.sleep(pause)
            self.waker.note(_artifact(before), _artifact(after))
        await asyncio.sleep(60)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _artifact(revision: str) -> Manifest:
    meta = {"name": FLEET.name, "namespace": FLEET.namespace}
    return {"metadata": meta, "status": {"artifact": {"revision": revision}} if revision else {}}


def _revision(manifest: Manifest) -> str:
    status: dict[str, Any] = manifest["status"]
    return str(status["artifact"]["revision"])


def test_a_commit_to_one_path_wakes_that_one_and_paces_the_others() -> None:
    fleet = Fleet(1000, [frozenset({"apps/777", "apps", ""})])
    run(fleet.script((0, "main@sha1:1", "main@sha1:2")))
    assert fleet.ran[0][1] == "777"
    assert len(fleet.ran) == 1000
    began = fleet.ran[0][0]
    assert sum(at - began < 1.0 for at, _ in fleet.ran) <= PACE + 1
    assert fleet.ran[-1][0] - began == pytest.approx(999 / PACE, abs=0.1)


def test_commits_that_follow_each_other_are_noted_once() -> None:
    fleet = Fleet(1000, [frozenset({"apps/1", "apps", ""})] * 10)
    run(fleet.script(*((0.001, f"main@sha1:{number}", f"main@sha1:{number + 1}") for number in range(10))))
    assert len([name for _, name in fleet.ran if name != "1"]) == 999


def test_two_artifacts_that_come_before_the_first_is_looked_at_are_compared_as_one_change() -> None:
    fleet = Fleet(3, [frozenset({"apps/1"})])
    run(fleet.script((0, "main@sha1:1", "main@sha1:2"), (0, "main@sha1:2", "main@sha1:3")))
    assert fleet.compared == [("main@sha1:1", "main@sha1:3")]


@pytest.mark.parametrize("error", [NotReady("ArtifactFailed", "the host does not answer"), RuntimeError("a bug")])
def test_where_the_comparison_fails_all_are_woken_and_the_next_commit_is_compared(error: Exception) -> None:
    fleet = Fleet(50, [error, frozenset({"apps/7"})])
    run(fleet.script((0, "main@sha1:1", "main@sha1:2"), (5, "main@sha1:2", "main@sha1:3")))
    assert len({at for at, _ in fleet.ran[:50]}) == 1
    assert fleet.ran[50][1] == "7"
    assert len(fleet.ran) == 100


def test_a_status_that_names_the_same_artifact_wakes_nobody() -> None:
    fleet = Fleet(3, [])
    run(fleet.script((0, "main@sha1:1", "main@sha1:1")))
    assert fleet.ran == []
