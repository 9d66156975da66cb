"""Open a page in Chromium, wait until it says something, and print what a person sees: `look.py URL ...`."""

from __future__ import annotations

import argparse
import json
import sys

from playwright.sync_api import sync_playwright

QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

# What is drawn has no innerText.
TEXT = "element => element.innerText ?? element.textContent"


def main() -> int:
    """Print a JSON object: texts by selector, and errors of the page; exit code 1 when it did not come to be."""
    parser = argparse.ArgumentParser(prog="look", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--until", required=True, help="a CSS selector that has to be there")
    parser.add_argument("--read", action="append", default=[], help="a CSS selector whose texts are printed")
    parser.add_argument("--screenshot", default="")
    parser.add_argument("--width", type=int, default=1180)
    options = parser.parse_args()
    errors: list[str] = []
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path="/usr/bin/chromium", args=list(QUIET))
        login = {"username": options.user, "password": options.password} if options.user else None
        size = {"width": options.width, "height": 900}
        page = browser.new_context(http_credentials=login, viewport=size).new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        answer = page.goto(options.url)
        try:
            page.wait_for_selector(options.until, timeout=30_000)
        except Exception as error:
            errors.append(f"{options.until}: {error}")
        seen = {
            selector: [
                {"text": found.evaluate(TEXT), "class": found.get_attribute("class") or "", "box": found.bounding_box()}
                for found in page.query_selector_all(selector)
            ]
            for selector in options.read
        }
        if options.screenshot:
            page.screenshot(path=options.screenshot, full_page=True)
        overflow = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        browser.close()
    told = {"status": answer.status if answer else 0, "seen": seen, "errors": errors, "overflow": overflow}
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
