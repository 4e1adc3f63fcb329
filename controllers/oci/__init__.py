"""Registries, as far as image automation needs them: which tags, which digest, which manifest."""

from .credentials import ANONYMOUS, Login, Tls, login_from_configs
from .errors import (
    InvalidResponseError,
    NotFound,
    RateLimited,
    RefusedError,
    RegistryError,
    TooLarge,
    Unauthorized,
    Unreachable,
)
from .registry import Manifest, Registry, RegistryLimits

__all__ = [
    "ANONYMOUS",
    "InvalidResponseError",
    "Login",
    "Manifest",
    "NotFound",
    "RateLimited",
    "RefusedError",
    "Registry",
    "RegistryError",
    "RegistryLimits",
    "Tls",
    "TooLarge",
    "Unauthorized",
    "Unreachable",
    "login_from_configs",
]
