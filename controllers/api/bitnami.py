"""`bitnami.com/v1alpha1`: SealedSecret."""

from __future__ import annotations

from .resource import Resource

SEALED_SECRETS = Resource("bitnami.com", "v1alpha1", "sealedsecrets", "SealedSecret")
