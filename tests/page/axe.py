"""What axe-core finds on a page, and what leaves the screen, for each way of showing it."""

from importlib.resources import files
from typing import Any

SCRIPT = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 320, "height": 640}
WAYS = [
    (WIDE, {"color_scheme": "light"}),
    (WIDE, {"color_scheme": "dark", "reduced_motion": "reduce"}),
    (PHONE, {"color_scheme": "dark"}),
    (PHONE, {"color_scheme": "light", "reduced_motion": "reduce"}),
    (WIDE, {"color_scheme": "dark", "forced_colors": "active"}),
]
RUN = """async () => (await axe.run({resultTypes: ['violations']})).violations.map(
    ({id, nodes}) => `${id}: ${nodes.map(({html}) => html).join(' ')}`)"""


def violations(page: Any) -> list[str]:
    """In light and dark, wide and narrow, with forced colours and with reduced motion."""
    page.evaluate(SCRIPT)
    found = []
    for size, media in WAYS:
        page.set_viewport_size(size)
        page.emulate_media(**{"forced_colors": "none", "reduced_motion": "no-preference", **media})
        found += [f"{size['width']} {media} {violation}" for violation in page.evaluate(RUN)]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{size['width']} {media} scrolls sideways")
    return found
