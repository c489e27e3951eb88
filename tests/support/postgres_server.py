"""A Postgres of a test's own: initdb into a scratch folder, a port that nobody else has, `psql` as the one who checks."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PASSWORD = "geheim-und-lang"


def programs():
    """The folder of the newest installed server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if not found:
        raise SystemExit("no Postgres server is installed: packaging/install --tests")
    return found[-1].parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    def __init__(self, *settings):
        self.bin = programs()
        self.folder = Path(tempfile.mkdtemp(prefix="thalweg-pg-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.log_path = self.folder / "log"
        self.as_owner = []
        if os.getuid() == 0:  # the server refuses to run as root
            shutil.chown(self.folder, "postgres", "postgres")
            self.as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        password_file = self.folder / "password"
        password_file.write_text(PASSWORD)
        if self.as_owner:
            shutil.chown(password_file, "postgres", "postgres")
        self.owner("initdb", "-D", self.data, "-U", "tester", "-A", "scram-sha-256", "--pwfile", password_file,
                   "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        config = ["wal_level = logical", "max_wal_senders = 20", "max_replication_slots = 20", "fsync = off",
                  "max_prepared_transactions = 5", f"port = {self.port}", "listen_addresses = '127.0.0.1'",
                  f"unix_socket_directories = '{self.folder}'", "log_min_messages = warning", *settings]
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.write("\n".join(config) + "\n")
        self.process = None
        self.start()

    def owner(self, program, *arguments):
        done = subprocess.run([*self.as_owner, str(self.bin / program), *map(str, arguments)], capture_output=True,
                              text=True, cwd=self.folder)
        if done.returncode != 0:
            raise AssertionError(f"{program}: {done.stdout}{done.stderr}")

    def start(self):
        with self.log_path.open("a") as log:
            self.process = subprocess.Popen([*self.as_owner, str(self.bin / "postgres"), "-D", str(self.data)],
                                            stdout=log, stderr=log, cwd=self.folder)
        end = time.monotonic() + 30
        while not self.is_ready():
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError("Postgres does not start: " + self.log_path.read_text())
            time.sleep(0.05)

    def is_ready(self):
        return subprocess.run([str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)],
                              capture_output=True).returncode == 0

    def kill(self):
        """As a power cut of the server alone: no goodbye, recovery at the next start."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(postmaster)], capture_output=True, text=True)
        for pid in [postmaster, *map(int, children.stdout.split())]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # "fast"
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()

    def environment(self):
        return dict(os.environ, PGHOST="127.0.0.1", PGPORT=str(self.port), PGUSER="tester", PGPASSWORD=PASSWORD,
                    PGDATABASE="postgres", PGOPTIONS="")

    def psql(self, sql, database="postgres"):
        """Rows as lists of texts; NULL is `∅`."""
        done = subprocess.run(["psql", "-X", "-q", "-At", "-F", "\t", "-P", "null=∅", "-v", "ON_ERROR_STOP=1", "-d",
                               database, "-f", "-"], input=sql, capture_output=True, text=True, env=self.environment(),
                              timeout=120)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def one(self, sql):
        rows = self.psql(sql)
        return rows[0][0] if rows else None

    def settings(self, **more):
        """`postgres_settings:` of a pipeline."""
        pairs = {"host": "127.0.0.1", "port": self.port, "dbname": "postgres", "user": "tester", "password": "$PG_PASSWORD",
                 **more}
        return "{" + ", ".join(f"{k}: {v}" for k, v in pairs.items() if v is not None) + "}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
