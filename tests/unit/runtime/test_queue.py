"""The promises of the queue, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.api.resource import Key
from controllers.runtime.queue import URGENT, Verdict, WorkQueue, next_phase

from .virtual_time import run

A, B = Key("ns", "a"), Key("ns", "b")
Work = Callable[[Key], Awaitable[Verdict]]


def now() -> float:
    return asyncio.get_running_loop().time()


async def working(queue: WorkQueue, work: Work, script: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.create_task(queue.run(work))
    await script()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_key_added_many_times_before_its_turn_runs_once() -> None:
    async def main() -> None:
        queue, runs = WorkQueue(), Counter[Key]()

        async def work(key: Key) -> Verdict:
            runs[key] += 1
            return Verdict()

        for _ in range(5):
            queue.add(A)
            queue.changed(A)
            queue.add(A, urgent=False)
        await working(queue, work, lambda: asyncio.sleep(10))
        assert runs == {A: 1}
        assert queue.known == 0

    run(main())


def test_a_key_added_while_it_runs_runs_again_and_never_at_once() -> None:
    async def main() -> None:
        queue, spans = WorkQueue(), []

        async def work(key: Key) -> Verdict:
            began = now()
            await asyncio.sleep(1)
            spans.append((began, now()))
            return Verdict()

        async def script() -> None:
            queue.add(A)
            await asyncio.sleep(0.5)
            queue.add(A)
            await asyncio.sleep(10)

        await working(queue, work, script)
        assert len(spans) == 2
        assert spans[0][1] <= spans[1][0]

    run(main())


def test_backoff_grows_to_its_cap_and_resets_after_a_success() -> None:
    async def main() -> None:
        queue, starts, fine = WorkQueue(cap=60), [], False

        async def work(key: Key) -> Verdict:
            starts.append(now())
            return Verdict(failed=not fine)

        async def script() -> None:
            nonlocal fine
            queue.add(A)
            await asyncio.sleep(400)
            gaps = [later - before for before, later in pairwise(starts)]
            expected = [1, 2, 4, 8, 16, 32, 60, 60]
            assert len(gaps) >= len(expected)
            for gap, base in zip(gaps, expected, strict=False):
                assert 0.8 * base <= gap <= 1.2 * base
            fine = True
            await asyncio.sleep(100)
            assert queue.failures(A) == 0
            fine = False
            starts.clear()
            queue.add(A)
            await asyncio.sleep(2)
            assert 0.8 <= starts[1] - starts[0] <= 1.2

        await working(queue, work, script)

    run(main())


def test_our_own_status_write_does_not_defeat_the_backoff() -> None:
    async def main() -> None:
        queue, runs = WorkQueue(), Counter[Key]()

        async def work(key: Key) -> Verdict:
            runs[key] += 1
            asyncio.get_running_loop().call_later(0.01, queue.add, key)  # the status write comes back as an event,
            queue.add(key)  # or even before the run has ended
            return Verdict(failed=True)

        async def script() -> None:
            queue.add(A)
            await asyncio.sleep(60)

        await working(queue, work, script)
        assert 5 <= runs[A] <= 7

    run(main())


def test_a_change_ends_the_backoff_but_cannot_make_the_key_spin() -> None:
    async def main() -> None:
        queue, starts = WorkQueue(), []

        async def work(key: Key) -> Verdict:
            starts.append(now())
            return Verdict(failed=True)

        async def script() -> None:
            queue.add(A)
            await asyncio.sleep(300)  # by now it waits for minutes
            changed_at = now()
            starts.clear()
            queue.changed(A)
            await asyncio.sleep(0.01)
            assert starts == [changed_at]
            starts.clear()
            for _ in range(1000):  # a dependency that changes ten times a second
                queue.changed(A)
                await asyncio.sleep(0.1)
            assert len(starts) <= 101

        await working(queue, work, script)

    run(main())


def test_a_change_during_a_failing_run_is_not_lost_in_its_backoff() -> None:
    async def main() -> None:
        queue, starts, long = WorkQueue(base=1, cap=600), [], Verdict(failed=True, after=500)

        async def work(key: Key) -> Verdict:
            starts.append(now())
            await asyncio.sleep(2)
            return long

        async def script() -> None:
            queue.add(A)
            await asyncio.sleep(1)
            queue.changed(A)
            await asyncio.sleep(3)
            assert len(starts) == 2

        await working(queue, work, script)

    run(main())


def test_a_result_says_when_to_look_again_and_a_sooner_wish_stands() -> None:
    async def main() -> None:
        queue, starts = WorkQueue(), []

        async def work(key: Key) -> Verdict:
            starts.append(now())
            return Verdict(after=100)

        async def script() -> None:
            begin = now()
            queue.add(A)
            await asyncio.sleep(1)
            queue.add_after(A, 15)
            queue.add_after(A, 5)
            queue.add_after(A, 50)
            await asyncio.sleep(200)
            assert [round(start - begin) for start in starts] == [0, 6, 106]
            queue.forget(A)
            await asyncio.sleep(300)
            assert len(starts) == 3
            assert queue.known == 0

        await working(queue, work, script)

    run(main())


def test_what_is_new_goes_before_what_is_due_and_does_not_starve_it() -> None:
    async def main() -> None:
        queue, order = WorkQueue(max_concurrent=1), []

        async def work(key: Key) -> Verdict:
            order.append((key.name, URGENT.get()))
            return Verdict()

        for number in range(20):
            queue.add(Key("due", f"due{number}"), urgent=False)
        for number in range(40):
            queue.add(Key("new", f"new{number}"))
        queue.add(Key("due", "due19"))  # became urgent
        await working(queue, work, lambda: asyncio.sleep(1))
        names = [name for name, _ in order]
        assert len(names) == 60
        assert sum(name.startswith("due") for name in names[:40]) == 5
        assert names.index("due19") < 50
        assert all(urgent == (name.startswith("new") or name == "due19") for name, urgent in order)

    run(main())


def test_no_more_run_at_once_than_allowed_and_a_bug_stops_nobody() -> None:
    async def main() -> None:
        queue, running, most, done = WorkQueue(max_concurrent=3, cap=1), 0, 0, Counter[Key]()

        async def work(key: Key) -> Verdict:
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                await asyncio.sleep(1)
                if key == A and done[A] < 2:
                    done[A] += 1
                    raise RuntimeError("bug")
            finally:
                running -= 1
            done[key] += 1
            return Verdict()

        for number in range(10):
            queue.add(Key("ns", str(number)))
        queue.add(A)
        await working(queue, work, lambda: asyncio.sleep(60))
        assert most == 3
        assert done.pop(A) == 3
        assert set(done.values()) == {1}
        assert len(done) == 10

    run(main())


def test_a_cancelled_queue_waits_for_its_reconciles_to_unwind() -> None:
    async def main() -> None:
        queue, unwound = WorkQueue(), []

        async def work(key: Key) -> Verdict:
            try:
                await asyncio.sleep(100)
            finally:
                unwound.append(key)
            return Verdict()

        queue.add(A)
        queue.add(B)
        await working(queue, work, lambda: asyncio.sleep(1))
        assert sorted(unwound) == [A, B]

    run(main())


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add due", "changed", "after", "sleep"]),
        st.integers(0, 3),
        st.sampled_from([0.0, 0.1, 0.9, 3.0, 40.0]),
    ),
    max_size=40,
)
VERDICTS = st.lists(
    st.sampled_from([Verdict(), Verdict(failed=True), Verdict(after=5), Verdict(failed=True, after=2)]), max_size=12
)


@settings(max_examples=150, deadline=None)
@given(actions=ACTIONS, verdicts=VERDICTS, workers=st.integers(1, 3))
def test_whatever_happens_nothing_is_lost_and_no_key_runs_twice_at_once(
    actions: list[tuple[str, int, float]], verdicts: list[Verdict], workers: int
) -> None:
    async def main() -> None:
        queue = WorkQueue(max_concurrent=workers, base=1, cap=30)
        running: set[Key] = set()
        last_start: dict[Key, float] = {}
        asked: dict[Key, float] = {}
        script = iter(verdicts)

        async def work(key: Key) -> Verdict:
            assert key not in running
            running.add(key)
            last_start[key] = now()
            await asyncio.sleep(0.5)
            running.discard(key)
            return next(script, Verdict())

        async def play() -> None:
            for action, number, seconds in actions:
                key = Key("ns", str(number))
                match action:
                    case "add":
                        queue.add(key)
                    case "add due":
                        queue.add(key, urgent=False)
                    case "changed":
                        queue.changed(key)
                    case "after":
                        queue.add_after(key, seconds)
                    case "sleep":
                        await asyncio.sleep(seconds)
                        continue
                asked[key] = now()  # a look "in 3 s or sooner" may come at once
            await asyncio.sleep(2000)
            for key, when in asked.items():
                assert last_start[key] >= when, "an add was lost"
            assert queue.known == 0, "all is settled, nothing may be kept"

        await working(queue, work, play)

    run(main())


@given(st.lists(st.uuids(), min_size=200, max_size=200, unique=True))
@settings(max_examples=10, deadline=None)
def test_periodic_work_makes_no_storm_and_keeps_its_phase(uids: list[object]) -> None:
    interval, at = 3600.0, 1_700_000_000.0
    due = [at + next_phase(str(uid), interval, at) for uid in uids]
    busiest = Counter(int(when // 60) for when in due).most_common(1)[0][1]
    assert busiest <= 20  # 200 objects over 60 minutes: 3.3 a minute on average
    for uid, when in zip(uids, due, strict=True):
        assert 0.1 * interval <= when - at <= 1.1 * interval
        again = when + 1 + next_phase(str(uid), interval, when + 1)
        assert abs(again - when - interval) < 1e-3


def test_periodic_work_leaves_one_worker_in_eight_to_what_is_new() -> None:
    async def work() -> None:
        queue, running, hold = WorkQueue(max_concurrent=16), set(), asyncio.Event()

        async def reconcile(key: Key) -> Verdict:
            running.add(key.name)
            await hold.wait()
            return Verdict()

        for number in range(50):
            queue.add(Key("", f"due{number}"), urgent=False)
        task = asyncio.create_task(queue.run(reconcile))
        await asyncio.sleep(1)
        assert len(running) == 14
        queue.add(Key("", "new"))
        await asyncio.sleep(1)
        assert "new" in running
        hold.set()
        await asyncio.sleep(1)
        assert len(running) == 51
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(work())
