"""A headless Chromium over the DevTools protocol, by pipe: enough to open a page, click in it and see what it does."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 60.0  # seconds; a loaded machine takes its time
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-dev-shm-usage --mute-audio "
    "--remote-debugging-pipe"
)
# The browser reads commands from file 3 and answers on file 4; not every shell can put a file above 9 there.
LAUNCH = (
    "import fcntl, os, sys; ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]; "
    "os.dup2(ends[0], 3); os.dup2(ends[1], 4); os.execv(sys.argv[3], sys.argv[3:])"
)


def find() -> str | None:
    """The path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One open page, what it wrote to the console as an error, and what it asked of the network."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._buffer, self._count, self._session = b"", 0, ""
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> Any:
        """One command, and its answer."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            got = self._next()
            if got.get("id") == self._count:
                assert "error" not in got, f"{method}: {got['error']}"
                return got["result"]

    def _next(self) -> Any:
        while b"\0" not in self._buffer:
            data = os.read(self._read, 1 << 20)
            assert data, "the browser is gone"
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        got = json.loads(text)
        self._note(got.get("method"), got.get("params", {}))
        return got

    def _note(self, event: str | None, told: Any) -> None:
        if event == "Runtime.exceptionThrown":
            self.errors.append(str(told["exceptionDetails"]))
        elif event == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.errors.append(told["entry"]["text"])
        elif event == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.errors.append(str(told["args"]))
        elif event == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"][:200])
        elif event == "Page.loadEventFired":
            self._loaded = True

    def open(self, url: str) -> None:
        """Go there and wait until it is loaded."""
        self._loaded = False
        self.send("Page.navigate", url=url)
        while not self._loaded:
            self._next()

    def ask(self, script: str) -> Any:
        """The value of an expression in the page."""
        got = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in got, got["exceptionDetails"]
        return got["result"].get("value")

    def wait(self, script: str) -> Any:
        """The value of an expression as soon as it is true."""
        until = time.monotonic() + PATIENCE
        while not (value := self.ask(script)):
            assert time.monotonic() < until, f"never true: {script}"
            time.sleep(0.05)
        return value

    def click(self, selector: str, across: float = 0.5) -> None:
        """Click on an element with the mouse, in the middle of its height."""
        self.ask(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = self.ask(
            f"(({{x, y, width, height}}) => [x, y, width, height])"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        at = {"x": box[0] + across * box[2], "y": box[1] + box[3] / 2, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, **at)

    def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Make the window this large, in CSS pixels."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def media(self, kind: str = "screen", **features: str) -> None:
        """Show it as on this medium, with these of its features, such as prefers_color_scheme="dark"."""
        given = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.send("Emulation.setEmulatedMedia", media=kind, features=given)

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """Save what is seen as PNG; whole: all of the page."""
        got = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(got["data"]))

    def print(self, path: Path) -> None:
        """Save it as PDF."""
        got = self.send(
            "Page.printToPDF", printBackground=True, preferCSSPageSize=True, paperWidth=8.27, paperHeight=11.7
        )
        path.write_bytes(base64.b64decode(got["data"]))


@contextmanager
def opened(program: str, home: Path) -> Iterator[Page]:
    """A browser with a profile of its own in `home`, and its first page."""
    to_read, to_write = os.pipe(), os.pipe()
    ends = (to_write[0], to_read[1])
    command = [
        sys.executable,
        "-c",
        LAUNCH,
        *map(str, ends),
        program,
        *FLAGS.split(),
        f"--user-data-dir={home}/profile",
    ]
    with (home / "browser.log").open("wb") as log:
        child = subprocess.Popen(command, pass_fds=ends, stdout=log, stderr=log)
    os.close(to_write[0])
    os.close(to_read[1])
    try:
        yield Page(to_read[0], to_write[1])
    finally:
        child.terminate()
        child.wait(PATIENCE)
        os.close(to_read[0])
        os.close(to_write[1])
