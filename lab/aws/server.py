"""The fake AWS as a process: moto over HTTP, with the bridge told after each call that may change an instance."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from lab.aws import seeds

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


def telling(application: Wsgi, tell: Callable[[], None]) -> Wsgi:
    """Call ``tell`` after each EC2 call and before its answer leaves: what AWS said is then true."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = application(environ, start_response)
        if "/ec2/aws4_request" in environ.get("HTTP_AUTHORIZATION", ""):
            tell()
        return body

    return answer


def serve(host: str, port: int, tell: Callable[[], None] | None = None, *, patched: bool = True) -> Any:
    """Start moto, seeded and patched, in a thread of its own; give the server back, listening.

    Without the patches it is for tests that show what they are for.
    """
    seeds.configure_environment()
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    from lab.aws import patches

    if patched:
        patches.apply_all()
    seeds.publish_parameters()
    application: Wsgi = DomainDispatcherApplication(create_backend_app)
    if tell is not None:
        application = telling(application, tell)
    server = make_server(host, port, application, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True, name="aws").start()
    return server


def main() -> int:
    """Run until the container is stopped."""
    waited_for = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    seeds.configure_environment()
    from lab.bridge.reconcile import Bridge

    bridge = Bridge.from_environment(os.environ)
    bridge.start()
    port = int(os.environ.get("DAVIT_LAB_AWS_PORT", "5577"))
    address = os.environ.get("DAVIT_LAB_AWS_ADDRESS", "127.0.0.1")
    serve(address, port, bridge.follow)
    print(f"aws: listening on {address}:{port}", flush=True)
    signal.sigwait(waited_for)
    bridge.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
