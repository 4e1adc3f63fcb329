"""Who may do what: refusals, escalation, reviews, tokens, impersonation, admission policies."""

# ruff: noqa: E501  (a call a line)

from __future__ import annotations

from typing import Any

from ..pair import Call
from ..script import apply, delete, get, merge, post, put, script
from .objects import ACCOUNTS, CONFIGS, SECRETS, config, secret

GROUP = "rbac.authorization.k8s.io"
ROLES, BINDINGS = f"/apis/{GROUP}/v1/namespaces/{{ns}}/roles", f"/apis/{GROUP}/v1/namespaces/{{ns}}/rolebindings"
CLUSTER_ROLES, CLUSTER_BINDINGS = f"/apis/{GROUP}/v1/clusterroles", f"/apis/{GROUP}/v1/clusterrolebindings"
REVIEWS, AUTHENTICATION = "/apis/authorization.k8s.io/v1", "/apis/authentication.k8s.io/v1"
JANE, BOB, ROBOT = "jane", "bob", "system:serviceaccount:{ns}:robot"
EVERYONE = ("system:authenticated",)


def role(name: str, *rules: dict[str, Any], kind: str = "Role", **more: Any) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": name}, "rules": list(rules), **more}


def rule(verbs: str, resources: str = "", group: str = "", names: str = "", urls: str = "") -> dict[str, Any]:
    if urls:
        return {"verbs": verbs.split(), "nonResourceURLs": urls.split()}
    found: dict[str, Any] = {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split()}
    return {**found, "resourceNames": names.split()} if names else found


def binding(
    name: str, role_name: str, *users: str, kind: str = "Role", groups: tuple[str, ...] = (), cluster: bool = False
) -> dict[str, Any]:
    subjects = [{"apiGroup": GROUP, "kind": "User", "name": user} for user in users]
    subjects += [{"apiGroup": GROUP, "kind": "Group", "name": group} for group in groups]
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "ClusterRoleBinding" if cluster else "RoleBinding",
        "metadata": {"name": name}, "subjects": subjects, "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role_name},
    }  # fmt: skip


def account(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


def token(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}


def review(kind: str, **spec: Any) -> Call:
    plural = f"{kind.lower()}s"
    group = AUTHENTICATION if kind in ("TokenReview", "SelfSubjectReview") else REVIEWS
    version = "authentication.k8s.io/v1" if group == AUTHENTICATION else "authorization.k8s.io/v1"
    where = f"{group}/namespaces/{{ns}}/{plural}" if kind.startswith("Local") else f"{group}/{plural}"
    return post(where, {"apiVersion": version, "kind": kind, "spec": spec})


def asks(verb: str, resource: str, namespace: str = "{ns}", **more: str) -> dict[str, str]:
    return {"verb": verb, "resource": resource, "namespace": namespace, **more}


def policy(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {"failurePolicy": "Fail", **spec},
    }


def policy_binding(name: str, actions: list[str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": actions or ["Deny"], **spec},
    }


def constraint(resources: str, operations: str = "CREATE UPDATE", group: str = "", **more: Any) -> dict[str, Any]:
    found = {
        "apiGroups": [group],
        "apiVersions": ["*"],
        "operations": operations.split(),
        "resources": resources.split(),
        **more,
    }
    return {"resourceRules": [found]}


ADMISSION = "/apis/admissionregistration.k8s.io/v1"
SCRIPTS = (
    script(
        "rbac",
        get(CONFIGS).by(JANE),
        get(f"{CONFIGS}/one").by(JANE),
        post(CONFIGS, config("one")).by(JANE),
        get("/api/v1/configmaps").by(JANE),
        get("/api/v1/nodes").by(JANE),
        get("/apis/apps/v1/namespaces/{ns}/deployments/web/scale").by(JANE),
        get("/metrics").by(JANE),
        get("/version").by(JANE),
        get("/api").by(JANE, *EVERYONE),
        delete(CONFIGS).by(JANE),
        get(CONFIGS, query={"watch": "1"}).by(JANE),
        post(ROLES, role("reader", rule("get list", "configmaps"), rule("get", "secrets", names="mine"), rule("patch", "configmaps", names="mine"))),
        post(BINDINGS, binding("reader", "reader", JANE)),
        get(f"{CONFIGS}/absent", until="not found", silent=True).by(JANE),
        get(f"{CONFIGS}/absent").by(JANE),
        get(f"{SECRETS}/mine").by(JANE),
        get(f"{SECRETS}/other").by(JANE),
        get(SECRETS).by(JANE),
        get("/api/v1/namespaces/default/configmaps/x").by(JANE),
        apply(f"{CONFIGS}/mine", config("mine")).by(JANE),
        post(CONFIGS, config("mine"), silent=True),
        apply(f"{CONFIGS}/mine", config("mine", {"a": "1"})).by(JANE),
        merge(f"{CONFIGS}/mine", {"data": {"b": "1"}}).by(JANE),
        merge(f"{CONFIGS}/other", {"data": {"b": "1"}}).by(JANE),
        get("/api/v1/namespaces/{ns}").by(JANE),
        post(BINDINGS, binding("broken", "absent", BOB)),
        get(CONFIGS).by(BOB),
        merge(f"{BINDINGS}/reader", {"roleRef": {"name": "other"}}),
        post(ROLES, role("bad", {"verbs": [], "apiGroups": [""], "resources": ["pods"]})),
        post(ROLES, role("urls", rule("get", urls="/x"))),
        post(CLUSTER_ROLES, role("d-bad", {"verbs": ["get"], "nonResourceURLs": ["/x"], "resources": ["pods"], "apiGroups": [""]}, kind="ClusterRole")),
        post(ROLES, role("none", {"verbs": ["get"]})),
        post(BINDINGS, {**binding("odd", "reader"), "subjects": [{"kind": "Robot", "name": "x"}]}),
        post(BINDINGS, {**binding("sa", "reader"), "subjects": [{"kind": "ServiceAccount", "name": "x"}]}),
        post(BINDINGS, {**binding("grp", "reader"), "roleRef": {"apiGroup": "x", "kind": "Role", "name": "r"}}),
        post(BINDINGS, {**binding("knd", "reader"), "roleRef": {"apiGroup": GROUP, "kind": "Thing", "name": "r"}}),
    ),
    script(
        "escalation",
        post(ROLES, role("maker", rule("get list create update patch", "roles rolebindings", GROUP), rule("get", "configmaps"))),
        post(BINDINGS, binding("maker", "maker", JANE)),
        get(f"{ROLES}/maker", until="maker", silent=True).by(JANE),
        post(ROLES, role("same", rule("get", "configmaps"))).by(JANE),
        post(ROLES, role("more", rule("get list", "configmaps"))).by(JANE),
        post(ROLES, role("all", rule("*", "*", "*"))).by(JANE),
        post(ROLES, role("sub", rule("get", "configmaps/status"), rule("get", "secrets", names="a b"))).by(JANE),
        merge(f"{ROLES}/same", {"rules": [rule("get", "configmaps"), rule("delete", "pods", names="p")]}).by(JANE),
        merge(f"{ROLES}/same", {"metadata": {"labels": {"a": "b"}}}).by(JANE),
        apply(f"{ROLES}/more", role("more", rule("get", "secrets"))).by(JANE),
        post(BINDINGS, binding("same", "same", BOB)).by(JANE),
        post(BINDINGS, binding("admin", "cluster-admin", BOB, kind="ClusterRole")).by(JANE),
        post(BINDINGS, binding("absent", "absent", BOB)).by(JANE),
        post(ROLES, role("binder", rule("bind", "clusterroles", GROUP, names="cluster-admin"), rule("escalate", "roles", GROUP))),
        post(BINDINGS, binding("binder", "binder", JANE)),
        post(BINDINGS, binding("admin", "cluster-admin", BOB, kind="ClusterRole"), until="uid").by(JANE),
        post(ROLES, role("more", rule("get list", "configmaps")), until="uid").by(JANE),
    ),
    script(
        "aggregation",
        post(CLUSTER_ROLES, {**role("d-sum", kind="ClusterRole"), "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"d-sum": "yes"}}]}}),
        post(CLUSTER_ROLES, {**role("d-part", rule("get", "configmaps"), kind="ClusterRole"), "metadata": {"name": "d-part", "labels": {"d-sum": "yes"}}}),
        post(BINDINGS, binding("sum", "d-sum", "sally", kind="ClusterRole")),
        get(f"{CONFIGS}/absent", until="not found").by("sally"),
        get(f"{CLUSTER_ROLES}/d-sum"),
        delete(f"{CLUSTER_ROLES}/d-part"),
        get(f"{CONFIGS}/absent", until="forbidden").by("sally"),
        post(BINDINGS, binding("viewer", "view", "vera", kind="ClusterRole")),
        get(f"{CONFIGS}/absent", until="not found").by("vera"),
        get(f"{SECRETS}/absent").by("vera"),
        post(CONFIGS, config("x")).by("vera"),
        post(BINDINGS, binding("editor", "edit", "emil", kind="ClusterRole")),
        get(f"{SECRETS}/absent", until="not found").by("emil"),
        post(ROLES, role("x")).by("emil"),
        post(CLUSTER_ROLES, role("d-urls", rule("get", urls="/metrics /logs/*"), kind="ClusterRole")),
        post(CLUSTER_BINDINGS, binding("d-urls", "d-urls", "uli", kind="ClusterRole", cluster=True)),
        get("/other").by("uli"),
    ),
    script(
        "reviews",
        post(ROLES, role("reader", rule("get", "configmaps"), rule("get", "secrets", names="one"))),
        post(BINDINGS, binding("reader", "reader", JANE)),
        get(f"{CONFIGS}/absent", until="not found", silent=True).by(JANE),
        review("SubjectAccessReview", user=JANE, resourceAttributes=asks("get", "configmaps")),
        review("SubjectAccessReview", user=JANE, resourceAttributes=asks("get", "secrets")),
        review("SubjectAccessReview", user=JANE, resourceAttributes=asks("get", "secrets", name="one")),
        review("SubjectAccessReview", user=JANE, resourceAttributes=asks("list", "configmaps", "default")),
        review("SubjectAccessReview", user="x", groups=["system:masters"], resourceAttributes=asks("*", "*")),
        review("SubjectAccessReview", resourceAttributes=asks("get", "configmaps")),
        review("SubjectAccessReview", user=JANE),
        review("SubjectAccessReview", user=JANE, nonResourceAttributes={"path": "/version", "verb": "get"}, groups=["system:authenticated"]),
        review("SubjectAccessReview", user=JANE, nonResourceAttributes={"path": "/x", "verb": "get"}),
        review("SubjectAccessReview", user=JANE, nonResourceAttributes={"path": "/x", "verb": "get"}, resourceAttributes=asks("get", "pods")),
        review("LocalSubjectAccessReview", user=JANE, resourceAttributes=asks("get", "configmaps")),
        review("LocalSubjectAccessReview", user=JANE, resourceAttributes=asks("get", "configmaps", "default")),
        review("SelfSubjectAccessReview", resourceAttributes=asks("get", "configmaps")).by(JANE, *EVERYONE),
        review("SelfSubjectAccessReview", resourceAttributes=asks("delete", "configmaps")).by(JANE, *EVERYONE),
        review("SelfSubjectAccessReview").by(JANE, *EVERYONE),
        review("SelfSubjectReview").by(JANE, *EVERYONE),
        review("SelfSubjectReview").by(ROBOT),
        review("SelfSubjectRulesReview", namespace="{ns}").by(JANE, *EVERYONE),
        review("SelfSubjectRulesReview").by(JANE, *EVERYONE),
        review("SubjectAccessReview", user=BOB, resourceAttributes=asks("get", "configmaps")).by(JANE),
        get(f"{REVIEWS}/subjectaccessreviews"),
        post(f"{REVIEWS}/subjectaccessreviews", {"spec": {"user": "x", "resourceAttributes": {}}}),
    ),
    script(
        "tokens",
        post(ACCOUNTS, account("robot")),
        post(f"{ACCOUNTS}/robot/token", token()),
        post(f"{ACCOUNTS}/robot/token", token(audiences=["sts.amazonaws.com"], expirationSeconds=900)),
        post(f"{ACCOUNTS}/robot/token", token(expirationSeconds=60)),
        post(f"{ACCOUNTS}/robot/token", token(expirationSeconds=10**12)),
        post(f"{ACCOUNTS}/robot/token", token(expirationSeconds="long")),
        post(f"{ACCOUNTS}/absent/token", token()),
        post(f"{ACCOUNTS}/robot/token", {"apiVersion": "v1", "kind": "Secret"}),
        post(f"{ACCOUNTS}/robot/token", token(boundObjectRef={"kind": "Secret", "apiVersion": "v1", "name": "absent"})),
        post(SECRETS, secret("bound")),
        post(f"{ACCOUNTS}/robot/token", token(boundObjectRef={"kind": "Secret", "apiVersion": "v1", "name": "bound"})),
        post(f"{ACCOUNTS}/robot/token", token(boundObjectRef={"kind": "ConfigMap", "apiVersion": "v1", "name": "bound"})),
        get(f"{ACCOUNTS}/robot/token"),
        get(CONFIGS, bearer="{1.status.token}"),
        get(CONFIGS, bearer="{2.status.token}"),
        get(CONFIGS, bearer="nonsense"),
        review("TokenReview", token="{1.status.token}"),
        review("TokenReview", token="{2.status.token}"),
        review("TokenReview", token="{2.status.token}", audiences=["sts.amazonaws.com", "other"]),
        review("TokenReview", token="nonsense"),
        review("TokenReview"),
        get("/.well-known/openid-configuration"),
        post(f"{ACCOUNTS}/robot/token", token()).by(JANE),
        delete(f"{ACCOUNTS}/robot"),
        get(CONFIGS, bearer="{1.status.token}", until="Unauthorized", silent=True),
        get("/api/v1/namespaces/{ns}/configmaps", bearer="{10.status.token}", until="Unauthorized"),
    ),
    script(
        "impersonation",
        post(ACCOUNTS, account("robot")),
        post(ROLES, role("actor", rule("impersonate", "serviceaccounts", names="robot"))),
        post(BINDINGS, {**binding("actor", "actor", JANE), "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "{ns}"}]}),
        post(f"{ACCOUNTS}/robot/token", token()),
        get(CONFIGS, bearer="{3.status.token}").by("system:serviceaccount:{ns}:other"),
        get(CONFIGS, bearer="{3.status.token}").by(JANE),
        get(CONFIGS, bearer="{3.status.token}").by(ROBOT),
        get(CONFIGS, bearer="{3.status.token}").by(ROBOT, "admins"),
        get(CONFIGS).by("system:anonymous"),
        get(CONFIGS).by("jane", "developers", "system:authenticated"),
    ),
    script(
        "policies",
        post(f"{ADMISSION}/validatingadmissionpolicies", policy(
            "d-configs",
            matchConstraints=constraint("configmaps"),
            matchConditions=[{"name": "here", "expression": "object.metadata.namespace == '{ns}'"}],
            variables=[{"name": "data", "expression": "has(object.data) ? object.data : {}"}],
            validations=[
                {"expression": "!('forbidden' in variables.data)", "message": "no forbidden key", "reason": "Forbidden"},
                {"expression": "!('odd' in variables.data)", "messageExpression": "'odd is ' + variables.data.odd"},
                {"expression": "oldObject == null || !has(oldObject.data) || !('keep' in oldObject.data) || 'keep' in variables.data"},
                {"expression": "!('large' in variables.data)", "message": "too large", "reason": "RequestEntityTooLarge"},
                {"expression": "request.userInfo.username != 'eve'", "message": "not eve"},
            ],
        )),
        post(f"{ADMISSION}/validatingadmissionpolicybindings", policy_binding("d-configs")),
        post(CONFIGS, config("probe", {"forbidden": "1"}), query={"dryRun": "All"}, until="no forbidden", silent=True),
        post(CONFIGS, config("one", {"forbidden": "1"})),
        post(CONFIGS, config("one", {"odd": "1"})),
        post(CONFIGS, config("one", {"large": "1"})),
        post(CONFIGS, config("one", {"keep": "1"})),
        merge(f"{CONFIGS}/one", {"data": {"keep": None}}),
        merge(f"{CONFIGS}/one", {"data": {"forbidden": "1", "odd": "2"}}),
        apply(f"{CONFIGS}/one", config("one", {"forbidden": "1"})),
        apply(f"{CONFIGS}/two", config("two", {"forbidden": "1"})),
        put(f"{CONFIGS}/one", config("one", {"keep": "1", "forbidden": "1"})),
        delete(f"{CONFIGS}/one"),
        post("/api/v1/namespaces/default/configmaps", config("d-elsewhere", {"forbidden": "1"})),
        delete("/api/v1/namespaces/default/configmaps/d-elsewhere"),
        post(SECRETS, secret("other", stringData={"forbidden": "1"})),
        delete(f"{ADMISSION}/validatingadmissionpolicybindings/d-configs"),
        post(CONFIGS, config("free", {"forbidden": "1"}), until="uid"),
        post(f"{ADMISSION}/validatingadmissionpolicies", policy("d-broken", matchConstraints=constraint("pods"), validations=[{"expression": "object.+"}])),
        post(f"{ADMISSION}/validatingadmissionpolicies", policy("d-empty", matchConstraints=constraint("pods"), validations=[])),
        post(f"{ADMISSION}/validatingadmissionpolicies", policy("d-reason", matchConstraints=constraint("pods"), validations=[{"expression": "true", "reason": "Mood"}])),
        post(f"{ADMISSION}/validatingadmissionpolicybindings", policy_binding("d-actions", ["Shout"])),
    ),
    script(
        "token-policy",
        post(ACCOUNTS, account("robot")),
        post(f"{ADMISSION}/validatingadmissionpolicies", policy(
            "d-token",
            matchConstraints=constraint("serviceaccounts/token", "CREATE"),
            matchConditions=[{"name": "here", "expression": "request.namespace == '{ns}'"}],
            validations=[
                {"expression": "has(object.spec.audiences) && object.spec.audiences.all(a, a == 'sts.amazonaws.com')", "message": "AWS only", "reason": "Forbidden"},
                {"expression": "!has(object.spec.expirationSeconds) || object.spec.expirationSeconds <= 3600", "message": "one hour", "reason": "Forbidden"},
            ],
        )),
        post(f"{ADMISSION}/validatingadmissionpolicybindings", policy_binding("d-token")),
        post(f"{ACCOUNTS}/robot/token", token(audiences=["x"]), until="AWS only", silent=True),
        post(f"{ACCOUNTS}/robot/token", token(audiences=["x"])),
        post(f"{ACCOUNTS}/robot/token", token()),
        post(f"{ACCOUNTS}/robot/token", token(audiences=["sts.amazonaws.com"])),
        post(f"{ACCOUNTS}/robot/token", token(audiences=["sts.amazonaws.com"], expirationSeconds=7200)),
        delete(f"{ADMISSION}/validatingadmissionpolicybindings/d-token"),
    ),
    script(
        "policy-failures",
        post(f"{ADMISSION}/validatingadmissionpolicies", policy(
            "d-fail",
            matchConstraints=constraint("secrets"),
            matchConditions=[{"name": "here", "expression": "request.namespace == '{ns}'"}],
            validations=[{"expression": "object.data['absent'] == ''"}],
        )),
        post(f"{ADMISSION}/validatingadmissionpolicybindings", policy_binding("d-fail")),
        post(SECRETS, secret("one", data={"a": "Yg=="}), query={"dryRun": "All"}, until="denied", silent=True),
        post(SECRETS, secret("one", data={"a": "Yg=="})),
        merge(f"{ADMISSION}/validatingadmissionpolicies/d-fail", {"spec": {"failurePolicy": "Ignore"}}, silent=True),
        post(SECRETS, secret("two", data={"a": "Yg=="}), until="uid"),
        merge(f"{ADMISSION}/validatingadmissionpolicybindings/d-fail", {"spec": {"validationActions": ["Warn"]}}),
        delete(f"{ADMISSION}/validatingadmissionpolicybindings/d-fail"),
    ),
)  # fmt: skip
