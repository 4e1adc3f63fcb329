"""The embedded API server as a process of its own: `python -m controllers.standin.apiserver --dir DIR --port N`.

Writes DIR/kubeconfig (0600) and prints one line with the URL once it listens; ends at SIGINT or SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from . import tls
from .server import ApiServer, allow_all


async def _serve(directory: Path, host: str, port: int, *, open_to_all: bool) -> None:
    server = ApiServer(directory, plugins=allow_all if open_to_all else None, host=host)
    await server.start(port)
    tls.write_private(directory / "kubeconfig", server.admin_kubeconfig().encode())
    print(f"serving {server.url}, KUBECONFIG={directory / 'kubeconfig'}", flush=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    await server.stop()


def main() -> None:
    """Parses arguments and serves."""
    parser = argparse.ArgumentParser(prog="python -m controllers.standin.apiserver", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="keys, certificates and the kubeconfig")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one")
    parser.add_argument("--allow-all", action="store_true", help="without authentication and authorization")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.dir, arguments.host, arguments.port, open_to_all=arguments.allow_all))


if __name__ == "__main__":
    main()
