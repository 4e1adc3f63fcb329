"""Registries, as far as image automation needs them: which tags, which digest, which manifest."""

from .credentials import ANONYMOUS, Login, Tls, login_from_configs
from .errors import (
    BadAnswer,
    NotFound,
    RateLimited,
    Refused,
    RegistryError,
    TooLarge,
    Unauthorized,
    Unreachable,
)
from .registry import Limits, Manifest, Registry

__all__ = [
    "ANONYMOUS",
    "BadAnswer",
    "Limits",
    "Login",
    "Manifest",
    "NotFound",
    "RateLimited",
    "Refused",
    "Registry",
    "RegistryError",
    "Tls",
    "TooLarge",
    "Unauthorized",
    "Unreachable",
    "login_from_configs",
]
