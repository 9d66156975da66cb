"""JSON logs, one object a line, with the request's id; queries appear as length and keyed hash."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import sys
import time
from contextvars import ContextVar
from typing import TextIO

request_id: ContextVar[str] = ContextVar("request_id", default="")


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object; `extra={"fields": {...}}` adds members."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without a line break in it."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current := request_id.get():
            line["request_id"] = current
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line.update(fields)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(level: str, stream: TextIO = sys.stdout) -> None:
    """Send all logging to `stream` as JSON, uvicorn's included."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.root.level))


class QueryHasher:
    """Hashes queries with a key, since short texts could be guessed from a plain hash.

    Without a key a random one is drawn: hashes then compare within one process only.
    """

    def __init__(self, key: str = "") -> None:
        """Use `key`, or a random one when it is empty."""
        material = key.encode() or secrets.token_bytes(32)
        self._key = hashlib.sha256(material).digest()

    def __call__(self, query: str) -> str:
        """Return 16 hexadecimal digits for the query."""
        return hashlib.blake2s(query.encode(), key=self._key, digest_size=8).hexdigest()
