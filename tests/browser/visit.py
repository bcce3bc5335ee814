"""One tab of the browser: what it asks of the API, what goes wrong in it, and what a person sees."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, Response, WebSocket, expect

from tests.support.net import LOOPBACK

QUIET = 0.3  # seconds without a request under way before a page counts as loaded
DEADLINE = 20.0  # seconds for anything to show up

# What the back button does: the application notices that the address has changed. The older UI keeps the address in
# the state as well.
_NAVIGATE = """(url) => {
  const { pathname, search } = new URL(url);
  history.pushState({ ...history.state, current: pathname + search }, "", url);
  dispatchEvent(new PopStateEvent("popstate", { state: history.state }));
}"""

_COUNT_GREEN = """async (source) => {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  const { data } = pen.getImageData(0, 0, image.width, image.height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 1] > 120 && data[i + 1] > data[i] + 60 && data[i + 1] > data[i + 2] + 40) count++;
  return count;
}"""


@dataclass(frozen=True)
class Call:
    """One request of the UI to the API, as it was answered."""

    method: str
    path: str
    body: Any
    status: int
    response: Response

    @property
    def answer(self) -> Any:
        """The body that came back; fetched from the browser when somebody looks."""
        text = self.response.text()
        try:
            return json.loads(text)
        except ValueError:
            return text

    def __str__(self) -> str:
        body = "" if self.body is None else f" {json.dumps(self.body)[:400]}"
        answer = f" -> {self.answer}" if self.status >= 400 else ""
        return f"{self.status} {self.method} {self.path}{body}{answer}"


@dataclass
class Visit:
    """A tab. `calls` and `faults` are those since `begin()`; `done()` ends with AssertionError if there are faults.

    One tab serves many tests, because starting the application costs more than a page of it. `fresh` says that it runs;
    a test that failed clears it, so that the next one starts anew.
    """

    page: Page
    version: str
    ui_url: str
    api_url: str
    shots: Path
    calls: list[Call] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    fresh: bool = False
    _expected: set[tuple[int, str, str]] = field(default_factory=set)
    _open: set[Request] = field(default_factory=set)
    _changed: float = 0.0

    def __post_init__(self) -> None:
        self.page.on("request", self._began)
        self.page.on("requestfinished", self._ended)
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.faults.append(f"uncaught error in the page: {error}"))
        self.page.on("websocket", self._connected)
        self._changed = time.monotonic()

    def begin(self) -> None:
        """Forget what came before."""
        self.calls.clear()
        self.faults.clear()
        self._expected.clear()

    def expects(self, status: int, method: str, path: str) -> None:
        """A refusal that belongs to what this test does, such as asking whether a name is still free."""
        self._expected.add((status, method, path))

    # --- what a person does ---

    def open(self, path: str, *shows: str) -> None:
        """Go to a page of the UI, inside the running application if it runs, and see these texts on it."""
        if self.fresh:
            self.page.evaluate(_NAVIGATE, self.ui_url + path)
        else:
            self.page.goto(self.ui_url + path, wait_until="commit")
            self.fresh = True
        self.shows(*shows)

    def shows(self, *texts: str) -> None:
        """Each text is visible, and whatever was being loaded has been loaded."""
        for text in texts:
            try:
                expect(self._visible(self.page.get_by_text(text))).to_be_visible(timeout=DEADLINE * 1000)
            except AssertionError:
                faults = "\n".join([*self.faults, *(str(call) for call in self.calls if call.status >= 400)])
                raise AssertionError(f"no {text!r} on {self.page.url}, seen in {self.shoot()}\n{faults}") from None
        self.settle()

    def click(self, role: Any, name: str, *shows: str, nth: int = 0, exact: bool = False) -> None:
        """Click on the first (or nth) visible element of an ARIA role and name, and see these texts."""
        self.find(role, name, nth=nth, exact=exact).click(timeout=DEADLINE * 1000)
        self.shows(*shows)

    def tab(self, name: str, *shows: str) -> None:
        """Open a tab of the page, and see these texts. The older UI's tabs have a class instead of a role."""
        tabs = self.page.locator("[role=tab], .p-tab").filter(has_text=re.compile(rf"^\s*{re.escape(name)}\s*$"))
        self._visible(tabs).click(timeout=DEADLINE * 1000)
        self.shows(*shows)

    def find(self, role: Any, name: str, *, nth: int = 0, exact: bool = False) -> Locator:
        return self.page.get_by_role(role, name=name, exact=exact).filter(visible=True).nth(nth)

    def fill(self, label: str, value: str, *, exact: bool = True) -> None:
        """Type into the field that carries this label, or whose label contains it."""
        self._visible(self.page.get_by_label(label, exact=exact)).fill(value, timeout=DEADLINE * 1000)

    def write_code(self, text: str) -> None:
        """Type into the code editor that is there."""
        self.page.locator("[contenteditable=true]").last.fill(text)

    def choose(self, option: str) -> None:
        """Pick an entry of the first list box."""
        self.page.get_by_role("combobox").filter(visible=True).first.click()
        self.click("option", option, exact=True)

    @staticmethod
    def _visible(found: Locator) -> Locator:
        return found.filter(visible=True).first

    # --- what it came to ---

    def settle(self) -> None:
        """Wait until nothing was asked for a moment."""
        self.until(lambda: not self._open and time.monotonic() - self._changed > QUIET, "the page is quiet")

    def until(self, condition: Callable[[], object], description: str, timeout: float = DEADLINE) -> None:
        """Wait for a condition while the page lives on; its events are only delivered while we wait in the page."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout:g} s: {description}; open: {self._open}"
            self.page.wait_for_timeout(50)

    def called(self, method: str, path_end: str) -> Call:
        """The last call of this method whose path (without query) ends so; AssertionError if there was none."""
        for call in reversed(self.calls):
            if call.method == method and urlsplit(call.path).path.endswith(path_end):
                return call
        raise AssertionError(f"the page never called {method} ...{path_end}, only:\n" + "\n".join(map(str, self.calls)))

    def done(self) -> None:
        """Every call was answered well, and nothing complained."""
        self.settle()
        refused = [call for call in self.calls if call.status >= 400]
        faults = self.faults + [
            f"failed call: {call}" for call in refused if (call.status, call.method, call.path) not in self._expected
        ]
        assert not faults, "\n".join([f"{self.page.url}:", *faults, f"seen in {self.shoot()}"])

    def green_pixels(self, selector: str) -> int:
        """How many pixels of an element are clearly green, counted in the browser from a picture of it."""
        picture = base64.b64encode(self.page.locator(selector).first.screenshot()).decode()
        count: int = self.page.evaluate(_COUNT_GREEN, f"data:image/png;base64,{picture}")
        return count

    def shoot(self) -> Path:
        """A picture of the page, beside the logs of this session."""
        path = self.shots / f"{len(list(self.shots.glob('*.png'))):03}.png"
        self.page.screenshot(path=path)
        return path

    # --- what the browser tells ---

    def _is_api(self, url: str) -> bool:
        return url.startswith(self.api_url)

    def _began(self, request: Request) -> None:
        self._open.add(request)
        self._changed = time.monotonic()

    def _ended(self, request: Request) -> None:
        self._open.discard(request)
        self._changed = time.monotonic()

    def _failed(self, request: Request) -> None:
        self._ended(request)
        # A page that is left gives up what it no longer needs.
        if self._is_api(request.url) and request.failure != "net::ERR_ABORTED":
            self.faults.append(f"no answer: {request.method} {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        request = response.request
        if not self._is_api(request.url):
            return
        text = request.post_data
        body = json.loads(text) if text else None
        path = request.url.removeprefix(self.api_url)
        self.calls.append(Call(request.method, path, body, response.status, response))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        source = urlsplit(message.location["url"])
        ours = source.hostname == LOOPBACK
        missing = message.text.startswith("Failed to load resource")
        # What the API refused is among the calls already, and some icons of the UI are not in its folder
        # (`completed.svg` beside its base path, `ico/paused.svg`, `ico/undefined.svg`).
        if missing and (not ours or source.path.endswith(".svg") or self._is_api(message.location["url"])):
            return
        if "Amplitude" in message.text:  # its telemetry cannot leave the machine
            return
        self.faults.append(f"console: {message.text} ({message.location['url']})")

    def _connected(self, socket: WebSocket) -> None:
        socket.on("socketerror", lambda error: self.faults.append(f"websocket {socket.url}: {error}"))
