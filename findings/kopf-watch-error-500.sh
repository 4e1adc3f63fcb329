#!/usr/bin/env bash
# kopf 1.45.2: an ERROR event of code 500 in a watch ends the whole operator.
#
# An API server may end a watch with an ERROR event at any time; client-go lists and watches again whatever its code.
# The guess was that kopf does so too, as it does for 410 ("too old resource version"). It does not: any other code
# raises in that kind's watcher, and `kopf.operator()` ends with the error, for every other kind as well.
#
# What it prints (kopf 1.45.2, aiohttp 3.14.5, Python 3.11):
#   code 410: lists 2, operator still runs
#   code 500: lists 1, operator ended: WatchingError
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check kopf==1.45.2 aiohttp==3.14.5
cat > "$work/run.py" <<'PY'
import asyncio, json, logging, sys
import aiohttp, kopf
from aiohttp import web

GROUP, VERSION, PLURAL = "example.dev", "v1", "widgets"


def resources(plural, kind):
    verbs = ["list", "watch", "patch"]
    return {"resources": [{"name": plural, "kind": kind, "singularName": "", "namespaced": True, "verbs": verbs}]}


class Api:
    def __init__(self, code):
        self.code, self.lists, self.watches = code, 0, 0

    async def handle(self, request):
        path = request.path
        if path == "/api":
            return web.json_response({"versions": ["v1"]})
        if path == "/api/v1":
            return web.json_response(resources("namespaces", "Namespace"))
        if path == "/apis":
            groups = [(GROUP, VERSION), ("apiextensions.k8s.io", "v1")]
            found = [{"name": g, "versions": [{"groupVersion": f"{g}/{v}", "version": v}],
                      "preferredVersion": {"groupVersion": f"{g}/{v}", "version": v}} for g, v in groups]
            return web.json_response({"groups": found})
        if path == f"/apis/{GROUP}/{VERSION}":
            return web.json_response(resources(PLURAL, "Widget"))
        if path == "/apis/apiextensions.k8s.io/v1":
            return web.json_response(resources("customresourcedefinitions", "CustomResourceDefinition"))
        if "watch" not in request.query:
            self.lists += 1
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
        self.watches += 1
        response = web.StreamResponse()
        await response.prepare(request)
        if self.watches == 1:
            status = {"kind": "Status", "status": "Failure", "code": self.code, "message": "etcdserver: timed out"}
            await response.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
        else:
            await asyncio.sleep(30)
        return response


async def observe(code):
    api, app = Api(code), web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    registry, settings = kopf.OperatorRegistry(), kopf.OperatorSettings()
    settings.posting.enabled, settings.scanning.disabled = False, True

    @kopf.on.login(registry=registry)
    async def login(**_):
        return kopf.ConnectionInfo(server=f"http://127.0.0.1:{port}")

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def seen(**_):
        pass

    operator = asyncio.create_task(
        kopf.operator(registry=registry, settings=settings, standalone=True, clusterwide=True))
    done, _ = await asyncio.wait({operator}, timeout=6)
    if done:
        ended = f"ended: {type(operator.exception()).__name__}"
    else:
        ended = "still runs"
        operator.cancel()
        await asyncio.wait({operator}, timeout=5)
    await runner.cleanup()
    return f"code {code}: lists {api.lists}, operator {ended}"


logging.disable(logging.CRITICAL)
print(asyncio.run(observe(int(sys.argv[1]))))
PY
{ "$work/venv/bin/python" "$work/run.py" 410; "$work/venv/bin/python" "$work/run.py" 500; } | tee "$work/out"
diff "$work/out" - <<'END'
code 410: lists 2, operator still runs
code 500: lists 1, operator ended: WatchingError
END
