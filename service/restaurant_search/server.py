"""The server process: uvicorn with a drain before the shutdown."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from types import FrameType

import uvicorn

from restaurant_search import logs
from restaurant_search.api import Service, create_app
from restaurant_search.settings import Settings

_log = logging.getLogger("restaurant_search.server")


class DrainingServer(uvicorn.Server):
    """On the first SIGTERM or SIGINT: not ready, go on accepting a while, then shut down.

    A proxy learns late that a backend is going; whoever closes the listener at once loses the
    requests sent in between. A second signal ends the drain.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        """Serve `config`, draining `service`."""
        super().__init__(config)
        self._service = service
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signalled = False
        self.failed = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until drained and stopped."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the drain, or end it when it has begun."""
        del frame  # uvicorn's signature; which line was interrupted does not matter
        if self._signalled or self._loop is None:
            self.should_exit = True
            return
        self._signalled = True
        self._loop.call_soon_threadsafe(self._drain, signal.Signals(sig).name)

    def fail(self) -> None:
        """Stop at once, without a drain: the service never was ready."""
        self.failed = True
        self.should_exit = True

    def _drain(self, reason: str) -> None:
        seconds = self._service.settings.drain_seconds
        self._service.lifecycle.drain()
        _log.info("draining", extra={"fields": {"signal": reason, "seconds": seconds}})
        asyncio.get_running_loop().call_later(seconds, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


def run(settings: Settings) -> int:
    """Run the service until it is told to stop; return the exit code."""
    logs.configure(settings.log_level)
    service = Service(settings, on_failure=lambda: server.fail())
    config = uvicorn.Config(
        create_app(service),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # Longer than a proxy keeps idle connections (Traefik: 90 s): the proxy closes first.
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=max(1, round(settings.stop_seconds)),
        backlog=2048,
    )
    server = DrainingServer(config, service)
    server.run()
    _log.info("stopped")
    return 1 if server.failed or not server.started else 0
