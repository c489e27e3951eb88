"""Servers that answer as Google Drive and SharePoint do, over a tree that a test changes."""

import base64
import hashlib
import json
import subprocess
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FOLDER = "application/vnd.google-apps.folder"


def make_key(folder):
    """An RSA key and its certificate; their paths, and the certificate's SHA-1."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", "/CN=test"], check=True, capture_output=True)
    der = subprocess.run(["openssl", "x509", "-in", cert, "-outform", "DER"], check=True, capture_output=True).stdout
    return key, cert, hashlib.sha1(der).hexdigest().upper()


def unpacked(token):
    """Header, claims, what was signed, signature."""
    def decoded(part):
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    head, claims, signature = token.split(".")
    return json.loads(decoded(head)), json.loads(decoded(claims)), f"{head}.{claims}".encode(), decoded(signature)


def is_signed(signed, signature, cert, folder):
    public, file = folder / "public.pem", folder / "signature"
    public.write_bytes(subprocess.run(["openssl", "x509", "-in", cert, "-pubkey", "-noout"], check=True,
                                      capture_output=True).stdout)
    file.write_bytes(signature)
    done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", public, "-signature", file], input=signed,
                          capture_output=True)
    return done.returncode == 0


class Service:
    """What both have in common: tokens that end, failures on demand, a record of what was asked."""

    def __init__(self, folder):
        self.folder = folder
        self.key, self.cert, self.thumbprint = make_key(folder)
        self.asked, self.tokens, self.failures, self.refused = [], [], [], []
        self.lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self.reply(service.give_token(self.path, dict(urllib.parse.parse_qsl(body))))

            def do_GET(self):
                self.reply(service.answer(self.path, self.headers))

            def reply(self, answer):
                status, body, kind = answer
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_):
                pass  # who asked has gone

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def give_token(self, path, form):
        with self.lock:
            try:
                self.check_form(path, form)
            except AssertionError as wrong:
                self.refused.append(str(wrong))
                return 401, {"error": "invalid_client", "error_description": "AADSTS700027: not believed"}, \
                    "application/json"
            self.tokens.append(f"token-{len(self.tokens)}")
            return 200, {"access_token": self.tokens[-1], "expires_in": 3600, "token_type": "Bearer"}, "application/json"

    def check_signature(self, token):
        head, claims, signed, signature = unpacked(token)
        assert head["alg"] == "RS256", head
        assert is_signed(signed, signature, self.cert, self.folder), "the signature does not fit"
        assert claims["exp"] > time.time() - 5, claims
        return head, claims

    def answer(self, target, headers):
        with self.lock:
            url = urllib.parse.urlsplit(target)
            path, query = urllib.parse.unquote(url.path), dict(urllib.parse.parse_qsl(url.query))
            self.asked.append((path, query))
            if self.failures:
                return self.failures.pop(0)
            if not self.tokens or headers["Authorization"] != f"Bearer {self.tokens[-1]}":
                return 401, {"error": {"message": "Invalid Credentials"}}, "application/json"
            return self.serve(path, query, headers)


class Drive(Service):
    """`files`: id → {name, mimeType, parents, modifiedTime, …}, `data`: id → bytes."""

    def __init__(self, folder, page=2):
        super().__init__(folder)
        self.page, self.files, self.data = page, {}, {}
        self.add("root", None, kind=FOLDER)
        (folder / "account.json").write_text(json.dumps(
            {"type": "service_account", "client_email": "robot@example.org", "private_key_id": "k1",
             "private_key": self.key.read_text(), "token_uri": f"{self.url}/token"}))

    def check_form(self, path, form):
        assert path == "/token" and form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer", (path, form)
        head, claims = self.check_signature(form["assertion"])
        assert head["kid"] == "k1" and claims["iss"] == "robot@example.org", (head, claims)
        assert claims["aud"] == f"{self.url}/token" and claims["scope"].endswith("/auth/drive.readonly"), claims

    def add(self, file, data, parent="root", kind="text/plain", name=None, version=1):
        with self.lock:
            self.files[file] = {"kind": "drive#file", "id": file, "name": name or f"{file}.txt", "mimeType": kind,
                                "parents": [parent], "modifiedTime": f"2024-05-01T10:00:{version:02}.000Z",
                                "thumbnailLink": f"https://thumbs.example.org/{time.time()}", "trashed": False,
                                "lastModifyingUser": {"displayName": "Ann", "emailAddress": "ann@example.org"}}
            if data is not None and not kind.startswith("application/vnd.google-apps"):
                self.files[file]["size"] = str(len(data))
            self.data[file] = data

    def remove(self, file):
        with self.lock:
            del self.files[file]

    def serve(self, path, query, _):
        if path == "/drive/v3/files":
            parent = query["q"].split("'")[1]
            inside = [f for f in self.files.values() if f["parents"] == [parent] and not f["trashed"]]
            begin = int(query.get("pageToken", "0"))
            reply = {"files": inside[begin:begin + self.page]}
            if begin + self.page < len(inside):
                reply["nextPageToken"] = str(begin + self.page)
            return 200, reply, "application/json"
        file = path.removeprefix("/drive/v3/files/").removesuffix("/export")
        if file not in self.files:
            return 404, {"error": {"code": 404, "message": f"File not found: {file}."}}, "application/json"
        if path.endswith("/export"):
            return 200, b"exported as " + query["mimeType"].rsplit(".", 1)[1].encode(), query["mimeType"]
        if query.get("alt") == "media":
            return 200, self.data[file], self.files[file]["mimeType"]
        return 200, self.files[file], "application/json"


class SharePoint(Service):
    """`files`: path from the server's root → (bytes, version)."""

    SITE = "/sites/team"

    def __init__(self, folder, page=2):
        super().__init__(folder)
        self.page, self.files = page, {}

    def check_form(self, path, form):
        assert path == "/tenant-1/oauth2/v2.0/token" and form["client_id"] == "app-1", (path, form)
        assert form["grant_type"] == "client_credentials" and form["scope"] == f"{self.url}/.default", form
        if "client_secret" in form:
            assert form["client_secret"] == "s3cr3t", "the secret is another"
            return
        head, claims = self.check_signature(form["client_assertion"])
        print_ = base64.urlsafe_b64encode(bytes.fromhex(self.thumbprint)).decode().rstrip("=")
        assert head["x5t"] == print_ and claims["iss"] == claims["sub"] == "app-1", (head, claims)

    def serve(self, path, query, headers):
        prefix = f"{self.SITE}/_api/web/"
        assert path.startswith(prefix), path
        call, quoted, rest = path.removeprefix(prefix).split("'", 1)[0], path.split("'")[1], path.rsplit("')", 1)[1]
        if call == "GetFileByServerRelativeUrl(":
            if quoted not in self.files:
                return 404, {"odata.error": {"message": {"value": "File Not Found."}}}, "application/json"
            return 200, self.files[quoted][0], "application/octet-stream"
        assert headers["Accept"] == "application/json;odata=nometadata", headers["Accept"]
        below = [name.removeprefix(quoted + "/") for name in self.files if name.startswith(quoted + "/")]
        if not below and quoted != f"{self.SITE}/Shared Documents":
            return 404, {"odata.error": {"message": {"value": "Folder Not Found."}}}, "application/json"
        if rest == "/Folders":
            items = [{"Name": name, "ServerRelativeUrl": f"{quoted}/{name}"}
                     for name in sorted({name.split("/")[0] for name in below if "/" in name})]
        else:
            items = [self.described(f"{quoted}/{name}") for name in sorted(below) if "/" not in name]
        begin = int(query.get("$skiptoken", "0"))
        reply = {"value": items[begin:begin + self.page]}
        if begin + self.page < len(items):
            escaped = urllib.parse.quote(path)
            reply["odata.nextLink"] = f"{self.url}{escaped}?%24skiptoken={begin + self.page}"
        return 200, reply, "application/json"

    def described(self, path):
        data, version = self.files[path]
        return {"Name": path.rsplit("/", 1)[1], "ServerRelativeUrl": path, "Length": str(len(data)),
                "UniqueId": hashlib.md5(path.encode()).hexdigest(), "ETag": f'"{path},{version}"',
                "TimeCreated": "2024-05-01T10:00:00Z", "TimeLastModified": f"2024-05-01T10:00:{version:02}Z"}
