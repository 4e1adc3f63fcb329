"""The child process that is AWS: moto behind the facade, on a loopback port of its own.

Started by `aws.AwsStandin`: settings come as one JSON line on standard input, the port goes as one line to standard
output; when standard input closes (the parent is gone, however it went) the process ends. A process of its own, because
moto is slow and would hold the controllers' interpreter lock, and so that a test can kill it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading


def main() -> None:
    settings = json.loads(sys.stdin.readline())
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "standin")  # moto's own boto3 never leaves this process
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "standin")

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    from .aws_app import Facade
    from .aws_identities import Directory
    from .aws_jwt import Verifier
    from .aws_sts import TokenService

    class Handler(MotoRequestHandler):
        protocol_version = "HTTP/1.1"  # keep connections: boto3 makes many calls on one

        def log_request(self, *_: object) -> None:
            pass

    directory = Directory({key: (secret, account) for key, (secret, account) in settings["static"].items()})
    facade = Facade(
        DomainDispatcherApplication(create_backend_app),
        directory,
        TokenService(directory, Verifier(), tuple(settings["audiences"])),
        bytes.fromhex(settings["ecr_key"]),
    )
    server = make_server(settings["host"], settings["port"], facade, threaded=True, request_handler=Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)  # long polls may still hold threads


if __name__ == "__main__":
    main()
