"""The full set of plug-ins: tokens, RBAC, tables, garbage collection, namespaces and simulated workloads."""

from __future__ import annotations

from . import gc, namespaces, policies
from .auth.authn import Authentication
from .auth.authz import Rbac
from .auth.reviews import virtual_types
from .auth.tokens import DISCOVERY, JWKS, Tokens
from .seams import KindInfo, Plugins, ServerIdentity
from .serve.tables import Renderer
from .workloads import rollout

TOKEN_REQUEST = KindInfo("authentication.k8s.io", "v1", "tokenrequests", "TokenRequest", True)


def default_plugins(identity: ServerIdentity) -> Plugins:
    """A seams.PluginFactory: what a cluster has beside its REST core."""
    rbac = Rbac()
    tokens = Tokens(identity.directory, identity.url)
    authentication = Authentication(tokens, rbac, identity.admin_token)
    return Plugins(
        authenticator=authentication,
        authorizer=rbac,
        tables=Renderer(),
        admission=[namespaces.admit, rbac.guard, policies.admit],
        subresources={
            ("POST", "", "serviceaccounts", "token"): policies.admitted(tokens.request, TOKEN_REQUEST),
            ("GET", "", "serviceaccounts", "token"): tokens.refuse,
        },
        virtual=virtual_types(rbac, tokens),
        raw={DISCOVERY: tokens.serve_discovery, JWKS: tokens.serve_jwks},
        # AWS's facade fetches the keys without credentials, as STS fetches those of an EKS cluster
        anonymous={DISCOVERY, JWKS},
        controllers=[
            rbac.bind,
            authentication.bind,
            namespaces.furnish(lambda: identity.ca_pem),
            namespaces.lifecycle,
            gc.collect,
            rollout.simulate,
        ],
    )
