"""What a page does that it should not, and what of it cannot be used by everybody."""

from importlib.util import find_spec
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Page

_REPORTING = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
});
"""
_REACHABLE = """() => {
  const all = document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]");
  window.waiting = new Set([...all].filter(
    (each) => each.tabIndex >= 0 && !each.disabled && each.type !== "hidden"
      && each.checkVisibility({ visibilityProperty: true })
  ));
  return window.waiting.size;
}"""
_FOCUSED = """() => {
  const at = document.activeElement;
  if (at === null || at === document.body) return null;
  window.waiting.delete(at);
  const style = getComputedStyle(at);
  const seen = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
  return { text: at.outerHTML.slice(0, 120), seen, left: window.waiting.size };
}"""
_LEFT = "() => [...window.waiting].map((each) => each.outerHTML.slice(0, 120))"
_MOST_TABS = 400


class Watch:
    """Notes what a page complains of and what it asks other hosts for, from its first request on."""

    def __init__(self, page: Page, origin: str) -> None:
        self._page = page
        self._origin = origin
        self._noted: list[str] = []
        page.add_init_script(_REPORTING)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self._noted.append(str(error)))
        page.on("request", lambda request: self._see(request.url))
        page.on("websocket", lambda socket: self._see(socket.url.replace("ws", "http", 1)))

    def complaints(self) -> list[str]:
        """Errors, requests elsewhere and violations of the policy: of the page now those, of all before the others."""
        violations: list[str] = self._page.evaluate("window.violations || []")
        return [*self._noted, *violations]

    def _hear(self, message: ConsoleMessage) -> None:
        # Of a page that is an error by itself, the browser tells that as well.
        if message.type == "error" and not message.text.startswith("Failed to load resource: the server responded"):
            self._noted.append(message.text)

    def _see(self, url: str) -> None:
        if not url.startswith((f"{self._origin}/", "data:", "blob:")):
            self._noted.append(f"asks {url}")


def drawn(page: Page) -> None:
    """Once the page has been drawn as it is to be seen now."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def breaches(page: Page) -> list[str]:
    """What axe-core finds on the page, which has to be of a context without a policy."""
    if page.evaluate("window.axe === undefined"):
        page.add_script_tag(path=_axe())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def is_wider_than_the_window(page: Page) -> bool:
    """Whether one would have to scroll sideways."""
    wide: bool = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return wide


def out_of_reach(page: Page) -> list[str]:
    """What the Tab key does not lead to, or leads to without showing it."""
    count: int = page.evaluate(_REACHABLE)
    assert count, "there is nothing to reach"
    unseen = []
    # A page that begins with the focus in a field is gone through from there, and then from its top.
    for _ in range(_MOST_TABS):
        page.keyboard.press("Tab")
        focused = page.evaluate(_FOCUSED)
        if focused is None:
            continue
        if not focused["seen"]:
            unseen.append(f"without a mark: {focused['text']}")
        if not focused["left"]:
            break
    return [*unseen, *page.evaluate(_LEFT)]


def _axe() -> Path:
    spec = find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("axe.min.js")
