"""A thin asynchronous Kubernetes client on aiohttp."""

from .client import FIELD_MANAGER, KubeClient, ObjectList, Token, WatchEvent
from .config import ConfigError, KubeConfig
from .connection import Timeouts
from .errors import (
    AlreadyExists,
    ApiError,
    BadRequest,
    Cause,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
    UnknownKindError,
    Unreachable,
    without_values,
)

__all__ = [
    "FIELD_MANAGER",
    "AlreadyExists",
    "ApiError",
    "BadRequest",
    "Cause",
    "ConfigError",
    "Conflict",
    "Forbidden",
    "Gone",
    "Invalid",
    "KubeClient",
    "KubeConfig",
    "NotFound",
    "ObjectList",
    "ServerError",
    "Timeouts",
    "Token",
    "TooManyRequests",
    "Unauthorized",
    "UnknownKindError",
    "Unreachable",
    "WatchEvent",
    "without_values",
]
