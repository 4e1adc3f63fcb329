"""A Kubernetes API server in one Python process: the embedded default of `inhaul demo` and the tests.

from controllers.standin.apiserver import ApiServer
"""

from __future__ import annotations

from .server import ApiServer

__all__ = ["ApiServer"]
