"""Heavy pure work in a process that can be killed: CEL of users, templates, large renders. They hold the GIL.

Each worker is a fresh interpreter (spawn: no threads, locks or secrets of ours are copied), with a limit on its address
space and none on its life but the timeout of each piece of work: a piece that overruns kills its process, and the next
piece gets a new one. Work is named `module:function`, takes and returns one picklable value, and is pure; the function
must be importable. A worker that ran 500 pieces is replaced, for fragmentation.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import multiprocessing
import resource
from multiprocessing.connection import Connection
from typing import Any

from .settings import WorkerSettings

_PIECES = 500
_START_TIMEOUT = 30.0  # seconds for a new interpreter; only the first piece of a worker waits for it


class WorkTimeoutError(Exception):
    """The piece did not end in time (or its process died of its memory limit); its worker was killed."""


class WorkFailedError(Exception):
    """The function raised. `kind` is the exception's class name; the text is the exception's."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _Worker:
    def __init__(self, memory: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, memory), daemon=True, name="inhaul worker")
        self.process.start()
        theirs.close()
        self.pieces = 0

    def kill(self) -> None:
        self.process.kill()
        self.process.join(5)
        self.pipe.close()

    def call(self, function: str, argument: Any, timeout: float) -> Any:
        """On a thread. Raises WorkTimeoutError, WorkFailedError."""
        try:
            if self.pieces == 0 and (not self.pipe.poll(_START_TIMEOUT) or self.pipe.recv() != "ready"):
                raise WorkTimeoutError("a worker process did not start")
            self.pieces += 1
            self.pipe.send((function, argument))
            if not self.pipe.poll(timeout):
                raise WorkTimeoutError(f"{function} took more than {timeout:g} s")
            fine, value = self.pipe.recv()
        except (EOFError, OSError):
            raise WorkTimeoutError(f"the worker process of {function} died; it may have run out of memory") from None
        if not fine:
            raise WorkFailedError(*value)
        return value


class HeavyWorker:
    """`await heavy.run("controllers.x.pure:render", argument)`. Workers start when first needed."""

    def __init__(self, settings: WorkerSettings | None = None) -> None:
        self._settings = settings or WorkerSettings()
        self._free: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._slots = asyncio.Semaphore(max(1, self._settings.processes))
        self._closed = False

    async def run(self, function: str, argument: Any, timeout: float | None = None) -> Any:
        """The function's result. Raises WorkTimeoutError, WorkFailedError. `timeout` in seconds; None is the
        settings' own.
        """
        async with self._slots:
            if self._closed:
                raise WorkTimeoutError("the worker pool is closed")
            worker = self._free.pop() if self._free else await asyncio.to_thread(self._start)
            limit = timeout if timeout is not None else self._settings.timeout
            keep = False
            try:
                result = await asyncio.to_thread(worker.call, function, argument, limit)
                keep = True
                return result
            except WorkFailedError:
                keep = True
                raise
            finally:
                if keep and worker.pieces < _PIECES and not self._closed:
                    self._free.append(worker)
                else:  # killed also where the caller was cancelled: the thread's poll ends with the pipe
                    self._all.discard(worker)
                    worker.kill()

    def close(self) -> None:
        self._closed = True
        for worker in list(self._all):
            worker.kill()
        self._all.clear()
        self._free.clear()

    def _start(self) -> _Worker:
        worker = _Worker(self._settings.memory)
        self._all.add(worker)
        return worker


def _serve(pipe: Connection, memory: int) -> None:
    """The worker's main loop."""
    _limit_memory(memory)
    pipe.send("ready")
    while True:
        try:
            function, argument = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            module, _, name = function.partition(":")
            pipe.send((True, getattr(importlib.import_module(module), name)(argument)))
        except MemoryError:
            return
        except Exception as error:
            pipe.send((False, (type(error).__name__, str(error))))


def _limit_memory(mebibytes: int) -> None:
    """`mebibytes` of address space beyond what is mapped now; no core dumps, for they would hold values."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with open("/proc/self/statm") as statm:  # noqa: PTH123 - a kernel file
            mapped = int(statm.read().split()[0]) * resource.getpagesize()
        limit = mapped + mebibytes * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
