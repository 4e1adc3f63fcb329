"""The columns of built-in kinds in Tables, as data: what `kubectl get` shows, in the server's names, order and types.

One line a kind, columns apart by `|`: `Name[:type][+]=source`, where `+` marks a column that only `-o wide` shows and
source is a path (`.spec.x`), a count (`#.data`), two numbers (`.status.a / .spec.b`), or the name of a function below.
An absent value is `<none>`, or what stands after `?`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from controllers.api.resource import Manifest

Read = Callable[[Manifest], Any]
NONE, UNSET, UNKNOWN = "<none>", "<unset>", "<unknown>"
WORKLOAD = "Containers+=containers | Images+=images"
ROWS = f"""
namespaces: Status=phase | Age=age
secrets: Type=.type?Opaque | Data=#.data | Age=age
configmaps: Data=entries | Age=age
services: Type=.spec.type | Cluster-IP=.spec.clusterIP | External-IP=external | Port(s)=ports | Age=age | Selector+=labels .spec.selector
serviceaccounts: Age=age
pods: Ready=pod_ready | Status=pod_status | Restarts=restarts | Age=age | IP+=.status.podIP | Node+=.spec.nodeName | Nominated Node+=.status.nominatedNodeName | Readiness Gates+=gates
podtemplates: Containers=containers | Images=images | Pod Labels=labels .template.metadata.labels
replicationcontrollers: Desired:integer=.spec.replicas?0 | Current:integer=.status.replicas?0 | Ready:integer=.status.readyReplicas?0 | Age=age | {WORKLOAD} | Selector+=labels .spec.selector
nodes: Status=node_status | Roles=roles | Age=age | Version=.status.nodeInfo.kubeletVersion | Internal-IP+=address InternalIP | External-IP+=address ExternalIP | OS-Image+=.status.nodeInfo.osImage?{UNKNOWN} | Kernel-Version+=.status.nodeInfo.kernelVersion?{UNKNOWN} | Container-Runtime+=.status.nodeInfo.containerRuntimeVersion?{UNKNOWN}
persistentvolumeclaims: Status=phase | Volume=.spec.volumeName? | Capacity=.status.capacity.storage? | Access Modes=modes .status.accessModes | StorageClass=.spec.storageClassName? | VolumeAttributesClass=.spec.volumeAttributesClassName?{UNSET} | Age=age | VolumeMode+=.spec.volumeMode?{UNSET}
persistentvolumes: Capacity=.spec.capacity.storage? | Access Modes=modes .spec.accessModes | Reclaim Policy=.spec.persistentVolumeReclaimPolicy? | Status=phase | Claim=claim | StorageClass=.spec.storageClassName? | VolumeAttributesClass=.spec.volumeAttributesClassName?{UNSET} | Reason=.status.reason? | Age=age | VolumeMode+=.spec.volumeMode?{UNSET}
resourcequotas: Request=quota requests | Limit=quota limits | Age=age
limitranges: Created At:date=.metadata.creationTimestamp
endpoints: Endpoints=endpoints | Age=age
events: Last Seen=seen .lastTimestamp .eventTime | Type=.type | Reason=.reason | Object=regarding | Subobject+=.involvedObject.fieldPath? | Source+=.source.component? | Message=message | First Seen+=seen .firstTimestamp .eventTime | Count+=.count?1
leases: Holder=.spec.holderIdentity? | Age=age
endpointslices: AddressType=.addressType | Ports=slice_ports | Endpoints=slice_addresses | Age=age
deployments: Ready=.status.readyReplicas / .spec.replicas | Up-to-date=.status.updatedReplicas?0 | Available=.status.availableReplicas?0 | Age=age | {WORKLOAD} | Selector+=selector
statefulsets: Ready=.status.readyReplicas / .spec.replicas | Age=age | {WORKLOAD}
daemonsets: Desired:integer=.status.desiredNumberScheduled?0 | Current:integer=.status.currentNumberScheduled?0 | Ready:integer=.status.numberReady?0 | Up-to-date:integer=.status.updatedNumberScheduled?0 | Available:integer=.status.numberAvailable?0 | Node Selector=labels .spec.template.spec.nodeSelector | Age=age | {WORKLOAD} | Selector+=selector
replicasets: Desired:integer=.spec.replicas?0 | Current:integer=.status.replicas?0 | Ready:integer=.status.readyReplicas?0 | Age=age | {WORKLOAD} | Selector+=selector
controllerrevisions: Controller=owner | Revision=.revision | Age=age
jobs: Status=job | Completions=.status.succeeded / .spec.completions | Duration=lasted | Age=age | {WORKLOAD} | Selector+=selector
cronjobs: Schedule=.spec.schedule | Timezone=.spec.timeZone | Suspend:boolean=truth .spec.suspend | Active:integer=#.status.active | Last Schedule=seen .status.lastScheduleTime | Age=age | {WORKLOAD} | Selector+=selector
ingresses: Class=.spec.ingressClassName | Hosts=hosts | Address=external | Ports=ingress_ports | Age=age
ingressclasses: Controller=.spec.controller? | Parameters=.spec.parameters.kind | Age=age
networkpolicies: Pod-Selector=labels .spec.podSelector.matchLabels | Age=age
roles: Created At:date=.metadata.creationTimestamp
clusterroles: Created At:date=.metadata.creationTimestamp
rolebindings: Role=role | Age=age | Users+=subjects User | Groups+=subjects Group | ServiceAccounts+=subjects ServiceAccount
clusterrolebindings: Role=role | Age=age | Users+=subjects User | Groups+=subjects Group | ServiceAccounts+=subjects ServiceAccount
poddisruptionbudgets: Min Available=.spec.minAvailable?N/A | Max Unavailable=.spec.maxUnavailable?N/A | Allowed Disruptions:integer=.status.disruptionsAllowed?0 | Age=age
horizontalpodautoscalers: Reference=target | Targets=.spec.targets | MinPods=.spec.minReplicas?{UNSET} | MaxPods=.spec.maxReplicas | Replicas=.status.currentReplicas?0 | Age=age
validatingwebhookconfigurations: Webhooks:integer=#.webhooks | Age=age
mutatingwebhookconfigurations: Webhooks:integer=#.webhooks | Age=age
validatingadmissionpolicies: Validations:integer=#.spec.validations | ParamKind=.spec.paramKind.kind?{UNSET} | Age=age
validatingadmissionpolicybindings: PolicyName=.spec.policyName | ParamRef=.spec.paramRef.name?{UNSET} | Age=age
storageclasses: Provisioner=.provisioner | ReclaimPolicy=.reclaimPolicy?Delete | VolumeBindingMode=.volumeBindingMode?Immediate | AllowVolumeExpansion=truth .allowVolumeExpansion | Age=age
csidrivers: AttachRequired:boolean=truth .spec.attachRequired | PodInfoOnMount:boolean=truth .spec.podInfoOnMount | StorageCapacity:boolean=truth .spec.storageCapacity | TokenRequests=.spec.tokenRequests?{UNSET} | RequiresRepublish:boolean=truth .spec.requiresRepublish | Modes=modes .spec.volumeLifecycleModes | Age=age
priorityclasses: Value:integer=.value | Global-Default:boolean=truth .globalDefault | Age=age | PreemptionPolicy=.preemptionPolicy
customresourcedefinitions: Created At:date=.metadata.creationTimestamp
"""  # noqa: E501
_COLUMN = re.compile(r"(?P<name>[^=:+]+)(:(?P<type>\w+))?(?P<wide>\+)?=(?P<source>.*)")


def rows() -> dict[str, list[tuple[str, str, int, str]]]:
    """Plural → (name, type, priority, source) of each column after the name's."""
    found = {}
    for line in ROWS.strip().splitlines():
        plural, _, listed = line.partition(": ")
        columns = []
        for text in listed.split(" | "):
            match = _COLUMN.fullmatch(text.strip())
            if match is None:
                raise ValueError(f"{plural}: {text!r} is no column")
            columns.append((match["name"], match["type"] or "string", 1 if match["wide"] else 0, match["source"]))
        found[plural] = columns
    return found


def at(obj: Any, path: str) -> Any:
    """The value under `.a.b.c`; None where there is none."""
    for part in path.split(".")[1:]:
        obj = obj.get(part) if isinstance(obj, Mapping) else None
    return obj


def reader(source: str, since: Callable[[Any], str | None]) -> Read:
    """What a source reads of an object; `since` tells ages."""
    if source == "age":
        return lambda obj: since(at(obj, ".metadata.creationTimestamp")) or UNKNOWN
    if source.startswith("seen "):
        paths = source.split()[1:]
        return lambda obj: next((text for path in paths if (text := since(at(obj, path)))), UNKNOWN)
    if " / " in source:
        left, right = source.split(" / ")
        return lambda obj: f"{at(obj, left) or 0}/{at(obj, right) or 0}"
    if source.startswith("#."):
        return lambda obj: len(at(obj, source[1:]) or ())
    if source.startswith("."):
        path, mark, absent = source.partition("?")
        other: Any = (int(absent) if absent.isdigit() else absent) if mark else NONE
        return lambda obj: other if at(obj, path) is None else at(obj, path)
    name, _, argument = source.partition(" ")
    function = FUNCTIONS[name]
    return lambda obj: function(obj, argument)


# --- functions --------------------------------------------------------------------------------------------------------


def _labels(labels: Mapping[str, Any] | None) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted((labels or {}).items())) or NONE


def _entries(obj: Manifest, _: str) -> int:
    return len(obj.get("data") or ()) + len(obj.get("binaryData") or ())


def _external(obj: Manifest, _: str) -> str:
    spec = obj.get("spec") or {}
    if spec.get("externalName"):
        return str(spec["externalName"])
    entries = at(obj, ".status.loadBalancer.ingress") or []
    shown = [str(entry.get("ip") or entry.get("hostname")) for entry in entries] + list(spec.get("externalIPs") or [])
    empty = "<pending>" if spec.get("type") == "LoadBalancer" else "" if obj.get("kind") == "Ingress" else NONE
    return ",".join(shown) or empty


def _ports(obj: Manifest, _: str) -> str:
    ports = at(obj, ".spec.ports") or []
    texts = [
        f"{port.get('port')}{':' + str(port['nodePort']) if port.get('nodePort') else ''}/{port.get('protocol', 'TCP')}"
        for port in ports
    ]
    return ",".join(texts) or NONE


def _pod_ready(obj: Manifest, _: str) -> str:
    statuses = at(obj, ".status.containerStatuses") or []
    return f"{sum(bool(item.get('ready')) for item in statuses)}/{len(at(obj, '.spec.containers') or [])}"


def _pod_status(obj: Manifest, _: str) -> str:
    if at(obj, ".metadata.deletionTimestamp"):
        return "Terminating"
    for item in at(obj, ".status.containerStatuses") or []:
        for kind in ("waiting", "terminated"):
            if reason := at(item, f".state.{kind}.reason"):
                return str(reason)
    return str(at(obj, ".status.phase") or "Unknown")


def _restarts(obj: Manifest, _: str) -> str:
    return str(sum(int(item.get("restartCount", 0)) for item in at(obj, ".status.containerStatuses") or []))


def _containers(field: str) -> Callable[[Manifest, str], str]:
    def cell(obj: Manifest, _: str) -> str:
        paths = (".spec.jobTemplate.spec.template.spec", ".spec.template.spec", ".template.spec", ".spec")
        spec: Manifest = next((found for path in paths if (found := at(obj, path))), {})
        return ",".join(str(item.get(field, "")) for item in spec.get("containers") or [])

    return cell


def _phase(obj: Manifest, _: str) -> str:
    return "Terminating" if at(obj, ".metadata.deletionTimestamp") else str(at(obj, ".status.phase") or "")


def _job(obj: Manifest, _: str) -> str:
    true = {item.get("type") for item in at(obj, ".status.conditions") or () if item.get("status") == "True"}
    return next((kind for kind in ("Complete", "Failed") if kind in true), "Running")


def _lasted(obj: Manifest, _: str) -> str:
    return ""


def _regarding(obj: Manifest, _: str) -> str:
    what = obj.get("regarding") or obj.get("involvedObject") or {}
    return f"{str(what.get('kind', '')).lower()}/{what.get('name', '')}"


def _role(obj: Manifest, _: str) -> str:
    return f"{at(obj, '.roleRef.kind')}/{at(obj, '.roleRef.name')}"


def _subjects(obj: Manifest, kind: str) -> str:
    found = [item for item in obj.get("subjects") or [] if item.get("kind") == kind]
    if kind == "ServiceAccount":
        return ", ".join(f"{item.get('namespace', '')}/{item.get('name')}" for item in found)
    return ", ".join(str(item.get("name")) for item in found)


def _selector(obj: Manifest, _: str) -> str:
    return _labels(at(obj, ".spec.selector.matchLabels"))


def _owner(obj: Manifest, _: str) -> str:
    owner = next((item for item in at(obj, ".metadata.ownerReferences") or [] if item.get("controller")), None)
    group = str(owner.get("apiVersion", "")).partition("/")[0] if owner and "/" in owner["apiVersion"] else ""
    return f"{owner['kind'].lower()}{'.' + group if group else ''}/{owner['name']}" if owner else NONE


def _modes(obj: Manifest, path: str) -> str:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return ",".join(short.get(mode, mode) for mode in at(obj, path) or ())


def _claim(obj: Manifest, _: str) -> str:
    claim = at(obj, ".spec.claimRef")
    return f"{claim.get('namespace')}/{claim.get('name')}" if claim else ""


def _quota(obj: Manifest, kind: str) -> str:
    hard, used = at(obj, ".status.hard") or {}, at(obj, ".status.used") or {}
    names = sorted(name for name in hard if name.startswith("limits.") is (kind == "limits"))
    return ", ".join(f"{name}: {used.get(name, 0)}/{hard[name]}" for name in names)


def _node_status(obj: Manifest, _: str) -> str:
    ready = any(
        item.get("type") == "Ready" and item.get("status") == "True" for item in at(obj, ".status.conditions") or ()
    )
    return ("Ready" if ready else "Unknown") + (",SchedulingDisabled" if at(obj, ".spec.unschedulable") else "")


def _roles(obj: Manifest, _: str) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = at(obj, ".metadata.labels") or {}
    return ",".join(sorted(name.removeprefix(prefix) for name in labels if name.startswith(prefix))) or NONE


def _address(obj: Manifest, kind: str) -> str:
    found = (item.get("address") for item in at(obj, ".status.addresses") or [] if item.get("type") == kind)
    return str(next(found, NONE))


def _endpoints(obj: Manifest, _: str) -> str:
    texts = [
        f"{address.get('ip')}:{port.get('port')}"
        for subset in obj.get("subsets") or []
        for address in subset.get("addresses") or []
        for port in subset.get("ports") or [{}]
    ]
    return ",".join(texts[:3]) + (f" + {len(texts) - 3} more..." if len(texts) > 3 else "") or NONE


def _slice_ports(obj: Manifest, _: str) -> str:
    return ",".join(str(port.get("port", "*")) for port in obj.get("ports") or []) or UNSET


def _slice_addresses(obj: Manifest, _: str) -> str:
    found = [address for item in obj.get("endpoints") or [] for address in item.get("addresses") or []]
    return ",".join(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "") or UNSET


def _hosts(obj: Manifest, _: str) -> str:
    found = [rule["host"] for rule in at(obj, ".spec.rules") or [] if rule.get("host")]
    return ",".join(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "") or "*"


def _target(obj: Manifest, _: str) -> str:
    return f"{at(obj, '.spec.scaleTargetRef.kind')}/{at(obj, '.spec.scaleTargetRef.name')}"


FUNCTIONS: dict[str, Callable[[Manifest, str], Any]] = {
    "labels": lambda obj, path: _labels(at(obj, path)),
    "truth": lambda obj, path: bool(at(obj, path)),
    "message": lambda obj, _: str(obj.get("note") or obj.get("message") or "").strip(),
    "gates": lambda obj, _: NONE,
    "ingress_ports": lambda obj, _: "80, 443" if at(obj, ".spec.tls") else "80",
    "entries": _entries,
    "external": _external,
    "ports": _ports,
    "pod_ready": _pod_ready,
    "pod_status": _pod_status,
    "restarts": _restarts,
    "containers": _containers("name"),
    "images": _containers("image"),
    "phase": _phase,
    "job": _job,
    "lasted": _lasted,
    "regarding": _regarding,
    "role": _role,
    "subjects": _subjects,
    "selector": _selector,
    "owner": _owner,
    "modes": _modes,
    "claim": _claim,
    "quota": _quota,
    "node_status": _node_status,
    "roles": _roles,
    "address": _address,
    "endpoints": _endpoints,
    "slice_ports": _slice_ports,
    "slice_addresses": _slice_addresses,
    "hosts": _hosts,
    "target": _target,
}
