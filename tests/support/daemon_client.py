"""A daemon of its own for a test: a folder, a process, requests, a count of what holds and what does not."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("THALWEG", str(ROOT / "build" / "daemon" / "thalweg"))
WAIT_SECONDS = 20


class Reply:
    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text

    @property
    def json(self):
        return json.loads(self.text)


def until(what, seconds=WAIT_SECONDS):
    """The first true answer of `what`; fails when none comes in time."""
    end = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not in {seconds} s: {what}")
        time.sleep(0.02)


class Server:
    """`thalweg serve` over a scratch folder."""

    def __init__(self, config="", pipelines=None, environment=None, arguments=()):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name)
        self.pipelines = self.folder / "pipelines"
        self.pipelines.mkdir()
        for name, text in (pipelines or {}).items():
            self.write(name, text)
        listen = "" if "listen:" in config else "listen: 127.0.0.1:0\n"
        (self.folder / "thalweg.yaml").write_text(f"pipelines_dir: pipelines\nstate_dir: state\n{listen}{config}")
        self.environment = dict(os.environ, **(environment or {}))
        self.arguments = list(arguments)
        self.token = None
        self.process = None
        self.start()

    def start(self):
        self.log_path = self.folder / "log"
        self.process = subprocess.Popen([BINARY, "serve", "--config", str(self.folder / "thalweg.yaml"), *self.arguments],
                                        stdout=subprocess.DEVNULL, stderr=self.log_path.open("w"), env=self.environment)

        def address():
            if self.process.poll() is not None:
                raise AssertionError("it ended: " + self.log())
            for line in self.log().splitlines():
                if " listening " in line:
                    return line.split("address=")[1].split()[0]
        self.address = until(address)
        until(lambda: " ready " in self.log())

    def log(self):
        return self.log_path.read_text()

    def write(self, name, text):
        """As editors do: beside, then renamed."""
        path = self.pipelines / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name("." + path.name + ".tmp")
        beside.write_text(text)
        beside.rename(path)

    def request(self, method, target, body=None, headers=None):
        request = urllib.request.Request(f"http://{self.address}{target}", method=method,
                                         data=body.encode() if body is not None else None, headers=headers or {})
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Reply(answer.status, answer.headers, answer.read().decode())
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.headers, error.read().decode())

    def get(self, target):
        return self.request("GET", target)

    def post(self, target, body=None):
        return self.request("POST", target, body if isinstance(body, str) else json.dumps(body) if body is not None else "")

    def sql(self, text, pipeline=None):
        answer = self.post("/api/v1/query", {"sql": text, **({"pipeline": pipeline} if pipeline else {})})
        assert answer.status == 200, answer.text
        return answer.json["rows"]

    def state(self, name):
        answer = self.get(f"/api/v1/pipelines/{name}")
        return answer.json["state"] if answer.status == 200 else None

    def cli(self, *arguments):
        done = subprocess.run([BINARY, *arguments, "--server", self.address], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.scratch.cleanup()


class NotifySocket:
    """What a service manager would hear."""

    def __init__(self, folder):
        self.path = str(Path(folder) / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.heard = []

    def messages(self):
        while True:
            try:
                self.heard.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return self.heard


def sink_rows(path):
    """What a reader of a changes file holds at its end: the rows whose diffs do not cancel."""
    counts = {}
    if not path.exists():  # it comes with the first commit
        return []
    for line in path.read_text().splitlines()[1:]:
        *cells, _time, diff = line.split(",")
        row = tuple(cell.strip('"') for cell in cells)
        counts[row] = counts.get(row, 0) + int(diff)
    assert all(count in (0, 1) for count in counts.values()), counts
    return sorted(row for row, count in counts.items() if count)


def run_tests(tests):
    passed = failed = 0
    for test in tests:
        try:
            test()
            passed += 1
        except Exception:
            failed += 1
            print(f"FAILED: {test.__doc__ or test.__name__}")
            traceback.print_exc(file=sys.stdout)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
