"""Waits until the lab's AWS and registries answer; says which does not, with the end of its log.

Run as `python -m lab.ready CA_FILE`.
"""

from __future__ import annotations

import ssl
import subprocess
import sys
import time
import urllib.request

SECONDS = 60.0
SERVERS = {
    "davit-lab-registry": "https://127.0.0.1:5443/",
    "davit-lab-mirror": "https://127.0.0.1:5444/",
    "davit-lab-aws": "http://127.0.0.1:5577/moto-api/",
}


def answers(url: str, trust: ssl.SSLContext) -> str:
    """Nothing when the server answers, else why not."""
    try:
        # No proxy stands between this machine and its own loopback.
        plain = urllib.request.ProxyHandler({})
        opener = urllib.request.build_opener(plain, urllib.request.HTTPSHandler(context=trust))
        with opener.open(url, timeout=5):
            return ""
    except OSError as error:
        return str(error)


def main() -> None:
    """All of them, within one deadline."""
    trust = ssl.create_default_context(cafile=sys.argv[1])
    deadline = time.monotonic() + SECONDS
    for container, url in SERVERS.items():
        while problem := answers(url, trust):
            if time.monotonic() > deadline:
                subprocess.run(["docker", "logs", "--tail", "20", container], stdout=sys.stderr, check=False)
                sys.exit(f"davit: {container} does not answer at {url}: {problem}; the end of its log is above.")
            time.sleep(0.1)


if __name__ == "__main__":
    main()
