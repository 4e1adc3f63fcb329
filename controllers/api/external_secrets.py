"""`external-secrets.io` and `generators.external-secrets.io`: stores, ExternalSecrets, PushSecret, generators."""

from __future__ import annotations

from .resource import Resource

_GROUP, _GENERATORS = "external-secrets.io", "generators.external-secrets.io"

SECRET_STORES = Resource(_GROUP, "v1", "secretstores", "SecretStore")
CLUSTER_SECRET_STORES = Resource(_GROUP, "v1", "clustersecretstores", "ClusterSecretStore", namespaced=False)
EXTERNAL_SECRETS = Resource(_GROUP, "v1", "externalsecrets", "ExternalSecret")
CLUSTER_EXTERNAL_SECRETS = Resource(_GROUP, "v1", "clusterexternalsecrets", "ClusterExternalSecret", namespaced=False)
PUSH_SECRETS = Resource(_GROUP, "v1alpha1", "pushsecrets", "PushSecret")
ECR_AUTHORIZATION_TOKENS = Resource(_GENERATORS, "v1alpha1", "ecrauthorizationtokens", "ECRAuthorizationToken")
PASSWORDS = Resource(_GENERATORS, "v1alpha1", "passwords", "Password")
CLUSTER_GENERATORS = Resource(_GENERATORS, "v1alpha1", "clustergenerators", "ClusterGenerator", namespaced=False)
