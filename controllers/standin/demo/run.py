"""`inhaul demo`: sets the world up, tells the story, ends with a table and a sentence on what was real.

`--keep` stays up afterwards and prints how to look around; `--json` prints one object. Whatever happens, also Ctrl-C,
no process is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from .narrate import Narrator
from .story import Story
from .world import PAYMENTS, REPOSITORY, World

WHAT_WAS_REAL = (
    "Real: the controllers, git over https, kustomize, sops, age, RSA sealing, the OCI push, web-identity tokens "
    "checked against the API server's keys, RBAC and server-side apply. Simulated: the API server is Inhaul's own "
    "stand-in, AWS is moto behind a facade, and pods run nothing."
)


def main(*, keep: bool = False, json_output: bool = False) -> int:
    """The exit code: 0 when every step kept its promise."""
    with tempfile.TemporaryDirectory(prefix="inhaul-demo-") as directory:
        return asyncio.run(_guarded(_demo(Path(directory), keep=keep, json_output=json_output)))


async def _guarded(work: Coroutine[Any, Any, int]) -> int:
    """Runs the demo as a task that SIGINT and SIGTERM cancel, so that its clean-up always runs."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()

    def end() -> None:
        if not task.cancelling():  # who presses Ctrl-C twice does not cut the clean-up short
            task.cancel()

    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, end)
    # A child that ends as its waiter is cancelled may be reaped twice over; asyncio warns of that, and means no harm.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    try:
        return await task
    except asyncio.CancelledError:
        return 130


async def _demo(directory: Path, *, keep: bool, json_output: bool) -> int:
    narrator = Narrator(quiet=json_output)
    narrator.plain("Inhaul on the embedded default: for trying, never for production.")
    began = time.monotonic()
    world = World(directory)
    try:
        await world.start()
        world.spawn()
        narrator.say(f"API server, AWS, Git and registry are up ({time.monotonic() - began:.1f} s)")
        await Story(world, narrator).run()
        seconds = round(time.monotonic() - began, 1)
        if json_output:
            narrator.json(seconds=seconds)
        else:
            narrator.table()
            narrator.plain(f"\n{len(narrator.told)} steps, {seconds} s in all. {WHAT_WAS_REAL}")
        if keep:
            await _stay(world, narrator.plain)
        return 0 if narrator.ok else 1
    except RuntimeError as error:
        narrator.plain(f"\nThe demo cannot go on: {error}")
        return 1
    finally:
        await asyncio.shield(world.stop())


async def _stay(world: World, say: Callable[[str], None]) -> None:
    kubeconfig = world.directory / "admin.kubeconfig"
    checkout = f"kubectl get externalsecrets,kustomizations,imagepolicies -n {PAYMENTS}"
    say(f"""
Staying up until Ctrl-C.

  export KUBECONFIG={kubeconfig}
  {checkout}
  kubectl edit deployment checkout -n {PAYMENTS}

  Git, as an engineer:  {world.engineer_url(REPOSITORY)}
     git -c http.sslVerify=false clone …        (the CA is {world.directory / "git-ca.pem"})
  AWS:                  export {" ".join(f"{name}={value}" for name, value in world.aws.env().items())}
     aws secretsmanager put-secret-value --secret-id payments/checkout/database --secret-string '{{"password": "x"}}'
  Log of the controllers: {world.directory / "controllers.log"}
""")
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
