"""`inhaul.dev/v1alpha1`: what upstream's kinds have no room for. TenantPolicy."""

from __future__ import annotations

from .resource import Resource

TENANT_POLICIES = Resource("inhaul.dev", "v1alpha1", "tenantpolicies", "TenantPolicy", namespaced=False)
