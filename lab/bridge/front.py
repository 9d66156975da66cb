"""The public side: listens on public addresses and carries TCP to the hosts, as the security groups allow.

A process of its own, so that nothing the fake AWS does delays a connection; measurements of lost
requests pass through here. It reads a table per line on its input, {"seq", "routes"}, and answers
each with a line {"applied", "problems"} once its listeners are as the table says.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import socket
import struct
import sys
from functools import partial
from typing import Any

from lab.bridge.model import Route

CHUNK = 256 * 1024
CONNECT_SECONDS = 10.0
PUBLIC_NETWORK = ipaddress.IPv4Network("198.18.0.0/15")
"""The Docker network davit-lab-public, on which the laptop is."""
Endpoint = tuple[str, int]


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST: what a client sees of a port on which nothing answers."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _attached(address: str) -> bool:
    """Whether the front is on the network of a host.

    Before the network of a new VPC is attached, a connection would leave by the default route from the public side,
    and hang once the network is there.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Connecting a datagram socket sends nothing; it shows which address packets would leave from.
        probe.connect((address, 9))
        return ipaddress.ip_address(probe.getsockname()[0]) not in PUBLIC_NETWORK


def _watch(writer: asyncio.StreamWriter) -> None:
    """Notice within half a minute that the other side is gone without a word, as a killed host is."""
    with contextlib.suppress(OSError):
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3)):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction to its end and pass the end on, leaving the other direction open.

    Raises OSError when either side breaks.
    """
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _settle() -> None:
    """Let what the loop has in hand come to its end: an accepted connection takes a few turns to appear, and a
    closed one to go, and asyncio has nothing that could be awaited for either."""
    for _ in range(4):
        await asyncio.sleep(0)


class Front:
    """The listeners and connections of all public addresses, for one peer: the laptop."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._routes: dict[str, Route] = {}
        self._listeners: dict[Endpoint, asyncio.Server] = {}
        self._connections: dict[asyncio.Task[None], str] = {}

    async def apply(self, routes: list[Route]) -> list[str]:
        """Make the listeners those of ``routes``; give back what could not be listened on.

        Connections to an address that now leads elsewhere end; closing a port leaves its established
        connections alone, as AWS's connection tracking does.
        """
        before, self._routes = self._routes, {route.public_ip: route for route in routes}
        wanted = {(r.public_ip, port) for r in routes for port in r.listens(self._peer)}
        for endpoint in set(self._listeners) - wanted:
            self._listeners.pop(endpoint).close()
        for task, address in list(self._connections.items()):
            now, then = self._routes.get(address), before.get(address)
            if then is not None and (now is None or now.private_ip != then.private_ip):
                task.cancel()
        problems = []
        for endpoint in sorted(wanted - set(self._listeners)):
            try:
                self._listeners[endpoint] = await self._listen(endpoint)
            except OSError as error:
                problems.append(f"{endpoint[0]}:{endpoint[1]}: {error.strerror}")
        return problems

    async def _listen(self, endpoint: Endpoint) -> asyncio.Server:
        address, port = endpoint

        # A plain function, so that a connection is known, and will be closed, before its task has had a turn.
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(self._serve(address, port, reader, writer))
            self._connections[task] = address
            task.add_done_callback(partial(self._ended, writer))

        return await asyncio.start_server(accept, address, port, backlog=4096, limit=CHUNK)

    def _ended(self, writer: asyncio.StreamWriter, task: asyncio.Task[None]) -> None:
        del self._connections[task]
        writer.close()

    async def close(self) -> None:
        """Stop listening and end every connection."""
        await self.apply([])
        await _settle()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await _settle()

    async def _serve(self, address: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, decided by the rules of this moment."""
        route = self._routes.get(address)
        if route is None or not route.allows(port, self._peer) or not _attached(route.private_ip):
            _reset(writer)
            return
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                far_reader, far_writer = await asyncio.open_connection(route.private_ip, port, limit=CHUNK)
        except (OSError, TimeoutError):
            _reset(writer)
            return
        _watch(writer)
        _watch(far_writer)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_carry(reader, far_writer))
                both.create_task(_carry(far_reader, writer))
        except* OSError:
            _reset(writer)
            _reset(far_writer)
        except* asyncio.CancelledError:
            _reset(writer)
            _reset(far_writer)
        finally:
            writer.close()
            far_writer.close()


async def _lines() -> asyncio.StreamReader:
    """Standard input as a stream."""
    reader = asyncio.StreamReader(limit=16 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def run(peer: str) -> None:
    """Apply one table after the other until the input ends."""
    front = Front(peer)
    reader = await _lines()
    while line := await reader.readline():
        order: dict[str, Any] = json.loads(line)
        problems = await front.apply([Route.from_json(value) for value in order["routes"]])
        print(json.dumps({"applied": order["seq"], "problems": problems}), flush=True)
    await front.close()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
