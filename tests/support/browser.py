"""A headless Chromium, driven over its debugging pipe: no driver, no package beside the browser itself."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

WAIT_SECONDS = 20
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Browser:
    """`page()` opens a tab; everything it says on its console and everything it asks the network for is kept."""

    def __init__(self):
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        assert program, "there is no chromium; packaging/install --tests brings it"
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, self.out = os.pipe()
        self.incoming, from_browser = os.pipe()

        def wire():  # the browser reads commands from 3 and answers on 4
            read, write = os.dup(to_browser), os.dup(from_browser)
            os.dup2(read, 3)
            os.dup2(write, 4)
        self.process = subprocess.Popen(
            [program, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars",
             "--disable-dev-shm-usage", "--disable-background-timer-throttling", "--force-color-profile=srgb", f"--user-data-dir={self.profile.name}"],
            close_fds=False, preexec_fn=wire, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.numbers, self.rest, self.answers, self.pages = itertools.count(1), b"", {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.incoming)
        self.profile.cleanup()

    def read(self, seconds):
        """Takes what has come within so long; events go to their page."""
        if not select.select([self.incoming], [], [], seconds)[0]:
            return
        data = os.read(self.incoming, 1 << 20)
        assert data, "chromium has ended"
        *messages, self.rest = (self.rest + data).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self.answers[message["id"]] = message
            elif message.get("sessionId") in self.pages:
                self.pages[message["sessionId"]].event(message["method"], message["params"])

    def post(self, method, session=None, **parameters):
        """Sends a command; its number."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        return number

    def call(self, method, session=None, **parameters):
        number = self.post(method, session, **parameters)
        end = time.monotonic() + 3 * WAIT_SECONDS
        while number not in self.answers:
            assert time.monotonic() < end, f"chromium does not answer {method}"
            self.read(1)
        answer = self.answers.pop(number)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def page(self, address, **options):
        return Page(self, address, **options)


class Page:
    def __init__(self, browser, address, width=1280, height=860, dark=False):
        self.browser = browser
        self.context = browser.call("Target.createBrowserContext")["browserContextId"]  # storage of its own
        self.target = browser.call("Target.createTarget", url="about:blank", browserContextId=self.context)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        browser.pages[self.session] = self
        self.said, self.requests, self.dialogs = [], [], []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.call("Page.navigate", url=address)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def event(self, method, parameters):
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Page.javascriptDialogOpening":  # nothing else is answered until it is
            self.dialogs.append(parameters["message"])
            self.browser.post("Page.handleJavaScriptDialog", self.session, accept=True)
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.said.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.said.append(parameters["entry"]["text"] + " " + parameters["entry"].get("url", ""))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.said.append(str([one.get("value") for one in parameters["args"]]))

    def js(self, expression):
        """The value of an expression; promises are waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, (expression, answer["exceptionDetails"])
        return answer["result"].get("value")

    def until(self, expression, seconds=WAIT_SECONDS):
        """The first true value; what is not there yet is not true yet."""
        end = time.monotonic() + seconds
        while True:
            value = self.js(f"(() => {{ try {{ return {expression}; }} catch {{ return null; }} }})()")
            if value:
                return value
            assert time.monotonic() < end, f"not in {seconds} s: {expression}\n{self.text()[:3000]}\n{self.said}"
            self.browser.read(0.1)

    def text(self):
        return self.js("document.body ? document.body.innerText : ''")

    def see(self, text, seconds=WAIT_SECONDS):
        self.until(f"document.body && document.body.innerText.includes({json.dumps(text)})", seconds)

    def goto(self, fragment):
        self.js(f"location.hash = {json.dumps(fragment)}")

    def click(self, label, within="body"):
        """By the mouse, where the button or link with this text is."""
        find = (f"[...document.querySelectorAll({json.dumps(within + ' button, ' + within + ' a, ' + within + ' summary')})]"
                f".find(e => e.innerText.trim() === {json.dumps(label)} && !e.disabled)")
        self.until(f"Boolean({find})")
        self.js(f"{find}.scrollIntoView({{block: 'center'}})")
        box = self.js(f"(() => {{ const r = {find}.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def fill(self, selector, text):
        """Puts the focus there and types over what it held."""
        self.until(f"Boolean(document.querySelector({json.dumps(selector)}))")
        self.js(f"(e => {{ e.focus(); e.select(); }})(document.querySelector({json.dumps(selector)}))")
        self.call("Input.insertText", text=text)

    def press(self, key, ctrl=False):
        text = {"Enter": "\r", " ": " "}.get(key)
        base = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": KEYS[key], "modifiers": 2 if ctrl else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **base, **({"text": text} if text and not ctrl else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **base)

    def download_to(self, folder):
        self.browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder), browserContextId=self.context)

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        Path(path).write_bytes(base64.b64decode(data))
