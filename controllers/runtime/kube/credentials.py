"""The bearer token of the next request: fixed, from a file that rotates, or from a client-go exec plugin.

An exec plugin is a child process of the user's choosing, as in kubectl; its output is an ExecCredential whose token
is kept until shortly before it expires. Tokens are `Sensitive` from here to the Authorization header.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

from controllers.api.timestamps import parse_timestamp

from ..sensitive import Sensitive
from .config import ConfigError, ExecPlugin, KubeConfig

_EXEC_TIMEOUT = 60.0
_EARLY = 60.0  # seconds before its expiry at which an exec plugin's token is renewed


class Credentials:
    """`token()` before each request, `refresh()` after a 401: True where a second try is worth it."""

    def __init__(self, config: KubeConfig) -> None:
        self._config = config
        self._token = config.token
        self._modified = -1
        self._expires = 0.0
        self._running = asyncio.Lock()

    async def token(self) -> Sensitive | None:
        if self._config.token_file:
            self._read_file()
        elif self._config.exec_plugin is not None:
            async with self._running:
                if self._token is None or time.time() >= self._expires:
                    await self._run(self._config.exec_plugin)
        return self._token

    async def refresh(self) -> bool:
        before, self._modified, self._expires = self._token, -1, 0.0
        try:
            return await self.token() != before
        except ConfigError:
            return False

    def _read_file(self) -> None:
        path = Path(self._config.token_file)
        try:
            modified = path.stat().st_mtime_ns
            if modified != self._modified:
                self._token = Sensitive(path.read_text().strip())
                self._modified = modified
        except (OSError, UnicodeDecodeError) as error:
            if self._token is None:
                raise ConfigError(f"token file {path}: {getattr(error, 'strerror', 'not text')}") from None
            # a rotation caught half-way: the old token is valid for a while yet

    async def _run(self, plugin: ExecPlugin) -> None:
        request = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
        env = {**os.environ, **dict(plugin.env), "KUBERNETES_EXEC_INFO": json.dumps(request)}
        try:
            child = await asyncio.create_subprocess_exec(
                plugin.command,
                *plugin.arguments,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            raise ConfigError(f"exec plugin {plugin.command}: {error.strerror}") from None
        try:
            output, _ = await asyncio.wait_for(child.communicate(), _EXEC_TIMEOUT)
        except TimeoutError:
            child.kill()
            await child.wait()
            raise ConfigError(f"exec plugin {plugin.command}: no response within {_EXEC_TIMEOUT:.0f} s") from None
        try:
            status = json.loads(output)["status"]
            self._token = Sensitive(status["token"])
            expires = status.get("expirationTimestamp")
            self._expires = parse_timestamp(expires).timestamp() - _EARLY if expires else float("inf")
        except (ValueError, KeyError, TypeError):
            code = child.returncode
            message = f"exec plugin {plugin.command}: exit {code}, expected an ExecCredential with status.token"
            raise ConfigError(message) from None
