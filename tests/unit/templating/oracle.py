"""The real Go engine: `kubectl label --local -o go-template` renders offline, with missing keys allowed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

KUBECTL = shutil.which("kubectl")


def kubectl_render(directory: Path, text: str, data: Any) -> str | None:
    """What Go makes of a template over `.x` = data; None where it refuses."""
    return kubectl_answer(directory, text, data)[0]


def kubectl_answer(directory: Path, text: str, data: Any) -> tuple[str | None, str]:
    """(what Go renders or None, what it says on standard error)."""
    source = directory / "document.json"
    document = {"apiVersion": "example.dev/v1", "kind": "Thing", "metadata": {"name": "x"}, "x": data}
    source.write_text(json.dumps(document))
    command = [KUBECTL or "kubectl", "label", "--local", "-f", str(source), "z=1", f"-o=go-template={text}"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return (done.stdout.decode() if done.returncode == 0 else None), done.stderr.decode("utf-8", "replace")
