"""A steady load of keep-alive POSTs through the edge, which counts what a user would have lost."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import TracebackType

BODY = json.dumps({"query": "pizza", "limit": 1})


class Load:
    """Asks from a few threads until the block ends; at most `limit` seconds, whatever happens.

    Two threads of searches are load enough for a machine that runs all hosts; what answers without a model has four.
    """

    def __init__(
        self,
        address: str,
        path: str = "/search",
        threads: int = 2,
        limit: float = 300.0,
        host: str | None = None,
        connect: Callable[[], http.client.HTTPConnection] | None = None,
    ) -> None:
        self._connect = connect or partial(http.client.HTTPConnection, address, timeout=10)
        self._renew = connect is not None
        """Whether each fifth request comes by a new connection, since a kept one never sees another certificate."""
        self.lost: Counter[str] = Counter()
        """Requests without a good answer, by what came instead."""
        self.releases: Counter[str | None] = Counter()
        self.canary: Counter[tuple[str, str]] = Counter()
        """Answers while a canary has a part of the traffic: by its header, and by the version that the body names."""
        self._headers = {"Content-Type": "application/json", "Host": host or address}
        self._path, self._limit = path, limit
        self._stop = threading.Event()
        self._good: list[float] = []
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(threads)]

    @property
    def longest_gap_ms(self) -> float:
        """The longest time between two good answers, of whichever threads, while the load ran."""
        moments = sorted(self._good)
        return 1000 * max((later - earlier for earlier, later in itertools.pairwise(moments)), default=0.0)

    @property
    def requests(self) -> int:
        return self.releases.total() + self.lost.total()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(15)

    def _ask(self) -> None:
        connection = self._connect()
        end = time.monotonic() + self._limit
        with contextlib.closing(connection):
            self._ask_until(end, connection)

    def _ask_until(self, end: float, connection: http.client.HTTPConnection) -> None:
        # Paced, since two cores are shared with what is measured: about 15 requests a second from each thread.
        for number in itertools.count(1):
            if time.monotonic() > end or self._stop.wait(0.06):
                return
            if self._renew and number % 5 == 0:
                connection.close()
            try:
                connection.request("POST", self._path, BODY, self._headers)
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost[repr(error)] += 1
                connection.close()
                continue
            if response.status == 200:
                self.releases[response.getheader("Davit-Release")] += 1
                self._good.append(time.monotonic())
                if trial := response.getheader("Davit-Canary"):
                    self.canary[trial, str(json.loads(answer).get("release"))] += 1
            else:
                self.lost[f"status {response.status}"] += 1
