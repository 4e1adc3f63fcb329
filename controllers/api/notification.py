"""`notification.toolkit.fluxcd.io/v1`: Receiver."""

from __future__ import annotations

from .resource import Resource

RECEIVERS = Resource("notification.toolkit.fluxcd.io", "v1", "receivers", "Receiver")
