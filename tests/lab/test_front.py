"""The public side over real sockets: nothing is lost, ends are passed on, and the rules of the moment decide."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from lab.bridge.front import Front
from lab.bridge.model import Route, Rule

PUBLIC, PRIVATE = "127.99.0.1", "127.99.1.1"
LAPTOP = "203.0.113.10"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@dataclass
class Stage:
    """A front, and servers for the hosts behind it."""

    front: Front
    stack: AsyncExitStack

    async def backend(self, handler: Handler, address: str = PRIVATE) -> int:
        """A server on a host's private address; its port."""

        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(served, address, 0)
        self.stack.callback(server.close)
        return int(server.sockets[0].getsockname()[1])

    async def connect(self, port: int, limit: int = 65536) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client at the public address."""
        reader, writer = await asyncio.open_connection(PUBLIC, port, limit=limit)
        self.stack.callback(writer.close)
        return reader, writer


def run(scenario: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    """A scenario within a time limit, and all sockets closed after it."""

    async def limited() -> None:
        async with asyncio.timeout(30), AsyncExitStack() as stack:
            front = Front(LAPTOP)
            stack.push_async_callback(front.close)
            await scenario(Stage(front, stack))

    asyncio.run(limited())


def route(port: int, cidr: str = "0.0.0.0/0", private: str = PRIVATE) -> Route:
    return Route(PUBLIC, private, (Rule(port, port, cidr),))


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Keep-alive POSTs, answered with the body's length and a padding."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        answer = str(len(body)).encode() + b" " * 2048
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        await writer.drain()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


def test_no_request_is_lost_at_more_than_200_a_second() -> None:
    async def client(stage: Stage, port: int, requests: int) -> int:
        reader, writer = await stage.connect(port)
        answered = 0
        for _ in range(requests):
            writer.write(b"POST / HTTP/1.1\r\nContent-Length: 300\r\n\r\n" + b"x" * 300)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
            answered += body.startswith(b"300 ")
        return answered

    async def scenario(stage: Stage) -> None:
        port = await stage.backend(http)
        assert await stage.front.apply([route(port)]) == []
        before = asyncio.get_running_loop().time()
        counts = await asyncio.gather(*(client(stage, port, 125) for _ in range(16)))
        assert sum(counts) == 2000
        assert 2000 / (asyncio.get_running_loop().time() - before) > 200

    run(scenario)


def test_unrelated_changes_leave_connections_alone() -> None:
    async def scenario(stage: Stage) -> None:
        port = await stage.backend(echo)
        await stage.front.apply([route(port)])
        reader, writer = await stage.connect(port)
        rules = (Rule(port, port, "0.0.0.0/0"),)
        for turn in range(50):
            await stage.front.apply([route(port), Route(f"127.99.0.{turn + 2}", PRIVATE, rules)])
            writer.write(b"ping")
            assert await reader.readexactly(4) == b"ping"

    run(scenario)


def test_half_closed_connections_stay_half_open() -> None:
    async def sums_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        whole = await reader.read(-1)
        writer.write(b"got %d" % len(whole))

    async def scenario(stage: Stage) -> None:
        port = await stage.backend(sums_up)
        await stage.front.apply([route(port)])
        reader, writer = await stage.connect(port)
        writer.write(b"x" * 3_000_000)
        writer.write_eof()
        assert await reader.read(-1) == b"got 3000000"

    run(scenario)


def test_a_large_answer_to_a_slow_client_arrives_whole() -> None:
    async def pours(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"y" * 20_000_000)
        await writer.drain()

    async def scenario(stage: Stage) -> None:
        port = await stage.backend(pours)
        await stage.front.apply([route(port)])
        reader, _ = await stage.connect(port, limit=1024)
        await asyncio.sleep(0.2)
        assert len(await reader.read(-1)) == 20_000_000

    run(scenario)


@pytest.mark.parametrize(
    ("cidr", "open_"),
    [("0.0.0.0/0", True), ("203.0.113.10/32", True), ("203.0.113.11/32", False), ("10.0.0.0/8", False)],
)
def test_only_rules_for_the_laptop_open_a_port(cidr: str, open_: bool) -> None:
    async def scenario(stage: Stage) -> None:
        port = await stage.backend(echo)
        await stage.front.apply([route(port, cidr)])
        if open_:
            reader, writer = await stage.connect(port)
            writer.write(b"1")
            assert await reader.readexactly(1) == b"1"
        else:
            with pytest.raises(ConnectionRefusedError):
                await stage.connect(port)

    run(scenario)


def test_a_closed_port_refuses_the_next_connection_and_keeps_the_last() -> None:
    async def scenario(stage: Stage) -> None:
        port = await stage.backend(echo)
        await stage.front.apply([route(port)])
        reader, writer = await stage.connect(port)
        writer.write(b"1")
        assert await reader.readexactly(1) == b"1"
        await stage.front.apply([Route(PUBLIC, PRIVATE, ())])
        with pytest.raises(ConnectionRefusedError):
            await stage.connect(port)
        writer.write(b"2")
        assert await reader.readexactly(1) == b"2"

    run(scenario)


@pytest.mark.parametrize("elsewhere", [None, "127.99.1.2"])
def test_an_address_that_leads_elsewhere_ends_its_connections(elsewhere: str | None) -> None:
    async def scenario(stage: Stage) -> None:
        port = await stage.backend(echo)
        await stage.front.apply([route(port)])
        reader, writer = await stage.connect(port)
        writer.write(b"1")
        assert await reader.readexactly(1) == b"1"
        await stage.front.apply([] if elsewhere is None else [route(port, private=elsewhere)])
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)

    run(scenario)


# The second turn of the loop is asyncio's own: a server that ends then loses the socket, whoever called it.
@pytest.mark.parametrize("turns", [0, 1, 3, 4, 5, 6, 7])
def test_a_front_that_ends_leaves_no_connection_open(turns: int) -> None:
    """However far a connection has come: pytest fails on a socket that nobody closed."""

    async def scenario(stage: Stage) -> None:
        port = await stage.backend(echo)
        await stage.front.apply([route(port)])
        with socket.create_connection((PUBLIC, port), 5):
            for _ in range(turns):
                await asyncio.sleep(0)
            await stage.front.close()

    run(scenario)
    gc.collect()


def test_a_port_on_which_the_host_does_not_listen_resets() -> None:
    async def scenario(stage: Stage) -> None:
        port = await stage.backend(echo)
        await stage.front.apply([route(port, private="127.99.1.9")])
        reader, _ = await stage.connect(port)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)

    run(scenario)


def test_a_port_that_is_taken_is_named() -> None:
    async def scenario(stage: Stage) -> None:
        port = await stage.backend(echo, PUBLIC)
        problems = await stage.front.apply([route(port)])
        assert len(problems) == 1
        assert problems[0].startswith(f"{PUBLIC}:{port}: ")

    run(scenario)
