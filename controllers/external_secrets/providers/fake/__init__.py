"""Upstream's fake provider: the values stand in the store's own spec, for tests and CI."""

from .provider import FAKE as FAKE
