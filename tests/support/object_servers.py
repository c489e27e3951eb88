"""Object stores for tests: an S3 server (versitygw, built by Go from the module proxy) and Azure's own emulator (azurite,
from npm), each started on a folder of its own; a proxy that breaks connections; and clients that share no code with
what is tested.
"""

import base64
import datetime
import email.utils
import hashlib
import hmac
import http.client
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
import zipfile
from pathlib import Path
from xml.etree import ElementTree

CACHE = Path(os.environ.get("THALWEG_TEST_CACHE", Path(__file__).resolve().parents[2] / "build" / "servers"))
VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
GO_MINOR_MIN, GO_TOOLCHAIN = 24, "v0.0.1-go1.24.4.linux-amd64"
GO_PROXY = "proxy.golang.org"  # Go's own default, where GOPROXY says nothing
AZURITE = "azurite@3.37.0"
KEY, SECRET = "AKIATESTTESTTEST", "a-secret-that-nobody-may-see/0123456789"
AZURE_ACCOUNT, AZURE_KEY = "devstoreaccount", base64.b64encode(b"the key of an account, for tests").decode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, log):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, Path(log).read_text()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server does not answer: " + Path(log).read_text())


def install(name, binary, command, **more):
    """Into the cache, once; what is there is whole."""
    if not binary.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        print(f"installing {name}", flush=True)
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, **more)
        assert done.returncode == 0 and binary.exists(), f"{name} cannot be installed:\n{done.stdout}{done.stderr}"
    return binary


def go_program():
    """A Go that builds the server: the machine's, or (Debian 12's is too old) one from the module proxy."""
    for program in (shutil.which("go"), "/usr/local/go/bin/go"):
        if program and Path(program).exists():
            found = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, timeout=60).stdout
            version = re.match(r"go1\.(\d+)", found)
            if version and int(version[1]) >= GO_MINOR_MIN:
                return program
    folder = CACHE / f"golang.org/toolchain@{GO_TOOLCHAIN}"
    if not (folder / "whole").exists():
        proxies = [p for p in os.environ.get("GOPROXY", "").replace("|", ",").split(",") if p.startswith("http")]
        proxy = (proxies or [f"https://{GO_PROXY}"])[0].rstrip("/")
        print(f"fetching Go from {proxy.split('@')[-1]}", flush=True)
        with tempfile.NamedTemporaryFile(suffix=".zip") as archive:
            url = f"{proxy}/golang.org/toolchain/@v/{GO_TOOLCHAIN}.zip"
            subprocess.run(["curl", "-fsSL", "-o", archive.name, url], check=True, timeout=900)
            with zipfile.ZipFile(archive.name) as parts:
                parts.extractall(CACHE)
        for pattern in ("bin/*", "pkg/tool/*/*"):  # modules carry no modes
            for program in folder.glob(pattern):
                program.chmod(0o755)
        (folder / "whole").touch()
    return str(folder / "bin/go")


class Server:
    """A process with a folder and a port. `kill` and `start` are for tests of outages."""

    def __init__(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name)
        self.port = free_port()
        self.process = None
        self.start()

    def start(self):
        log = self.folder / "log"
        self.process = subprocess.Popen(self.command(), stdout=log.open("a"), stderr=subprocess.STDOUT, cwd=self.folder,
                                        env=dict(os.environ, **self.environment()))
        wait_for_port(self.port, self.process, log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def environment(self):
        return {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.scratch.cleanup()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"


class S3Server(Server):
    def __init__(self):
        go = go_program()
        folder = CACHE / "versitygw-1.8.0"
        self.binary = install("versitygw", folder / "versitygw", [go, "install", "-ldflags=-s -w", VERSITYGW],
                              env=dict(os.environ, GOBIN=str(folder), GOFLAGS="-mod=mod"))
        super().__init__()

    def command(self):
        (self.folder / "data").mkdir(exist_ok=True)
        # Attributes in files of their own: not every file system of a test machine has them.
        (self.folder / "meta").mkdir(exist_ok=True)
        return [str(self.binary), "--port", f"127.0.0.1:{self.port}", "--access", KEY, "--secret", SECRET, "--region",
                "us-east-1", "posix", "--sidecar", str(self.folder / "meta"), str(self.folder / "data")]


class AzureServer(Server):
    def __init__(self):
        folder = CACHE / "azurite-3.37.0"
        self.binary = install("azurite", folder / "node_modules/.bin/azurite",
                              ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), AZURITE])
        super().__init__()

    def command(self):
        return [str(folder_of(self.binary) / "azurite-blob"), "--blobPort", str(self.port), "--location",
                str(self.folder / "data"), "--silent", "--disableTelemetry", "--skipApiVersionCheck"]

    def environment(self):
        return {"AZURITE_ACCOUNTS": f"{AZURE_ACCOUNT}:{AZURE_KEY}"}

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}/{AZURE_ACCOUNT}"


def folder_of(path):
    return Path(path).parent


# ---------------------------------------------------------------- clients


def hmac256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class S3:
    """One bucket, by Signature Version 4."""

    def __init__(self, port, bucket):
        self.port, self.bucket = port, bucket
        status, _, body = self.request("PUT", "")
        assert status in (200, 409), body

    def request(self, method, key, query=None, body=b"", headers=None):
        query = "&".join(f"{urllib.parse.quote(k, safe='')}={urllib.parse.quote(v, safe='')}"
                         for k, v in sorted((query or {}).items()))
        path = "/" + self.bucket + ("/" + urllib.parse.quote(key, safe="/-_.~") if key else "")
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        payload = hashlib.sha256(body).hexdigest()
        signed = {"host": f"127.0.0.1:{self.port}", "x-amz-content-sha256": payload, "x-amz-date": now}
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        canonical = "\n".join([method, path, query, lines, names, payload])
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key_bytes = ("AWS4" + SECRET).encode()
        for part in (now[:8], "us-east-1", "s3", "aws4_request"):
            key_bytes = hmac256(key_bytes, part)
        signature = hmac256(key_bytes, text).hex()
        fields = dict(headers or {}, **{k: v for k, v in signed.items() if k != "host"})
        fields["Authorization"] = f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path + ("?" + query if query else ""), body=body, headers=fields)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def put(self, key, content):
        status, _, body = self.request("PUT", key, body=content if isinstance(content, bytes) else content.encode())
        assert status == 200, body

    def get(self, key):
        status, _, body = self.request("GET", key)
        return body if status == 200 else None

    def delete(self, key):
        status, _, body = self.request("DELETE", key)
        assert status in (200, 204), body

    def keys(self, prefix=""):
        keys, token = [], None
        while True:
            query = {"list-type": "2", "prefix": prefix}
            if token:
                query["continuation-token"] = token
            status, _, body = self.request("GET", "", query)
            assert status == 200, body
            root = ElementTree.fromstring(body)
            space = root.tag[:root.tag.index("}") + 1] if root.tag.startswith("{") else ""
            keys += [one.findtext(space + "Key") for one in root.iter(space + "Contents")]
            token = root.findtext(space + "NextContinuationToken")
            if root.findtext(space + "IsTruncated") != "true":
                return keys

    def uploads(self):
        status, _, body = self.request("GET", "", {"uploads": ""})
        assert status == 200, body
        root = ElementTree.fromstring(body)
        return [one for one in root.iter() if one.tag.endswith("Upload")]


class Azure:
    """One container, by SharedKey."""

    def __init__(self, port, container):
        self.port, self.container = port, container
        status, body = self.request("PUT", "", {"restype": "container"})
        assert status in (201, 409), body

    def request(self, method, key, query=None, body=b"", headers=None):
        path = f"/{AZURE_ACCOUNT}/{self.container}" + ("/" + urllib.parse.quote(key) if key else "")
        fields = dict(headers or {}, **{"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"})
        own = "".join(f"{k}:{v}\n" for k, v in sorted(fields.items()) if k.startswith("x-ms-"))
        resource = f"/{AZURE_ACCOUNT}{path}" + "".join(f"\n{k}:{v}" for k, v in sorted((query or {}).items()))
        text = f"{method}\n\n\n{len(body) or ''}\n\n\n\n\n\n\n\n\n{own}{resource}"
        signature = base64.b64encode(hmac256(base64.b64decode(AZURE_KEY), text)).decode()
        fields["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{signature}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            target = path + ("?" + urllib.parse.urlencode(query) if query else "")
            connection.request(method, target, body=body, headers=fields)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def keys(self, prefix=""):
        status, body = self.request("GET", "", {"restype": "container", "comp": "list", "prefix": prefix})
        assert status == 200, body
        return [one.text for one in ElementTree.fromstring(body).iter("Name")]


# ---------------------------------------------------------------- trouble


class Proxy:
    """Between a client and a server: answers 503, or cuts the connection before or after the server has heard of the
    request, by chance. `mend()` ends the trouble."""

    def __init__(self, port, seed=1, trouble=0.3):
        self.target, self.random, self.trouble = port, random.Random(seed), trouble
        self.lock = threading.Lock()
        self.counts = {"ok": 0, "503": 0, "before": 0, "after": 0, "short": 0}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def mend(self):
        self.trouble = 0

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def fate(self):
        with self.lock:
            fate = "ok"
            if self.random.random() < self.trouble:
                fate = self.random.choice(["503", "before", "after", "short"])
            self.counts[fate] += 1
            return fate

    @staticmethod
    def message(stream):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return None
            head += line
        fields = {k.strip().lower(): v.strip() for k, _, v in
                  (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])}
        return head, fields

    def serve(self, client):
        server = None
        try:
            incoming = client.makefile("rb")
            while True:
                read = self.message(incoming)
                if read is None:
                    return
                head, fields = read
                body = incoming.read(int(fields.get("content-length", 0)))
                fate = self.fate()
                if fate == "503":
                    error = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
                    client.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: %d\r\n\r\n" % len(error)
                                   + (b"" if head.startswith(b"HEAD") else error))
                    if head.startswith(b"HEAD"):
                        return
                    continue
                if fate == "before":
                    return
                if server is None:
                    server = socket.create_connection(("127.0.0.1", self.target))
                    outgoing = server.makefile("rb")
                server.sendall(head + body)
                read = self.message(outgoing)
                if read is None:
                    return
                answer_head, answer_fields = read
                length = int(answer_fields.get("content-length", 0))
                bare = head.startswith(b"HEAD") or answer_head.split(b" ")[1] in (b"204", b"304")
                if answer_fields.get("transfer-encoding", "") == "chunked" and not bare:
                    answer = b""
                    while True:
                        line = outgoing.readline()
                        piece = outgoing.read(int(line.split(b";")[0], 16) + 2)
                        answer += line + piece
                        if int(line.split(b";")[0], 16) == 0:
                            break
                else:
                    answer = b"" if bare else outgoing.read(length)
                if fate == "after":
                    return
                if fate == "short" and len(answer) > 1:
                    client.sendall(answer_head + answer[:len(answer) // 2])
                    return
                client.sendall(answer_head + answer)
        except (OSError, ValueError):
            return
        finally:
            client.close()
            if server is not None:
                server.close()
