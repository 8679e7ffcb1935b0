"""How long a person waits for a full inbox: chromium on a processor slowed four times, until the rows are painted."""

import json
import shutil
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from . import servers
from .seed import HUB, Seed, tokens

SLOWED = 4
ROWS = 20
WARM_UPS = 2
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

# Logs the milliseconds from the begin of the navigation until the rows are in the document, and until they are painted.
# A script of the driver in the page would be measured too.
WATCH = """(() => {
    const seen = new MutationObserver(() => {
        if (document.querySelectorAll('a.conv').length < %d) return;
        seen.disconnect();
        const inDocument = performance.now();
        requestAnimationFrame(() => setTimeout(() => console.info(JSON.stringify([inDocument, performance.now()]))));
    });
    seen.observe(document, { childList: true, subtree: true });
})()"""


@dataclass
class Wait:
    """Milliseconds of each load, for one state of the browser's cache."""

    cache: str
    loads: list[list[float]]

    def quartiles(self) -> list[list[float]]:
        """Of the rows in the document, and of the rows painted."""
        return [quantiles(times, n=4) for times in zip(*self.loads, strict=True)]


def measure(seed: Seed, rounds: int, threads: int) -> list[Wait]:
    """Loads the inbox of the person with most partners: with files revalidated, then without a cache."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    token = tokens(seed.checkout, seed.path, [HUB])[HUB]
    waits = []
    with servers.msgsvc(seed.checkout, seed.path, threads, None) as server, sync_playwright() as starter:
        url = f"http://127.0.0.1:{server.address[1]}/"
        browser = starter.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        session = page.context.new_cdp_session(page)
        page.goto(f"{url}icon.svg")
        page.evaluate("token => sessionStorage.setItem('msgsvc.session', token)", token)
        session.send("Page.enable")
        session.send("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH % ROWS})
        session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWED})
        session.send("Network.enable")
        for cache in ("revalidated", "none"):
            session.send("Network.setCacheDisabled", {"cacheDisabled": cache == "none"})
            loads = [_load(page, url) for _ in range(WARM_UPS + max(2, rounds))]
            waits.append(Wait(cache, loads[WARM_UPS:]))
        browser.close()
    return waits


def _load(page: Any, url: str) -> list[float]:
    page.goto("about:blank")
    with page.expect_console_message(lambda said: said.type == "info") as said:
        page.goto(url, wait_until="commit")
    times: list[float] = json.loads(said.value.text)
    return times
