"""Starts the tests' service. With CHATTY it logs every secret instead, in the forms that a program may choose."""

import base64
import json
import os
import sys
from urllib.parse import quote

if os.environ.get("CHATTY"):
    for name in ("VAULTED", "FROM_ENV", "PARAMETER", "MANAGED"):
        value = os.environ[name]
        login = base64.b64encode(f"shop:{value}".encode()).decode()
        sys.stdout.write(f"{name} is {value}\n")
        sys.stdout.write(f"{json.dumps(value)} {quote(value)} {value!r} {login}\n")
    sys.exit(7)
os.execv("/usr/bin/python3", ["python3", "/app/tiny.py"])  # noqa: S606
