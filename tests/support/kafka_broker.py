"""Apache Kafka for tests: one node in KRaft mode, from Maven Central's jars on the machine's Java.

    with Broker() as broker:
        broker.topic("words", partitions=3)
        broker.produce("words", ['{"word": "a"}'])
        ...
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSION = "3.9.1"
CACHE = Path(os.environ.get("THALWEG_KAFKA_CACHE", ROOT / "build" / "kafka"))
POM = f"""<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>thalweg</groupId><artifactId>kafka-for-tests</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{VERSION}</version></dependency>
  </dependencies>
</project>
"""


def jars():
    """The folder of the broker's jars; fetched once."""
    libs = CACHE / f"libs-{VERSION}"
    if libs.is_dir():
        return libs
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "pom.xml").write_text(POM)
    fetched = CACHE / f"fetched-{os.getpid()}"
    done = subprocess.run(["mvn", "-q", "-B", "-f", str(CACHE / "pom.xml"), "dependency:copy-dependencies",
                           f"-DoutputDirectory={fetched}"], capture_output=True, text=True, timeout=500)
    if done.returncode != 0:
        raise AssertionError("the jars of Kafka cannot be fetched:\n" + done.stdout[-2000:] + done.stderr[-2000:])
    try:
        fetched.rename(libs)
    except OSError:  # another test was faster
        shutil.rmtree(fetched, ignore_errors=True)
    return libs


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Broker:
    """A broker of its own, gone when the test is over."""

    def __init__(self, options=None):
        self.scratch = tempfile.TemporaryDirectory(prefix="kafka-")
        self.folder = Path(self.scratch.name)
        self.port, self.controller = free_port(), free_port()
        self.servers = f"127.0.0.1:{self.port}"
        self.process = None
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "2",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "2",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
            "log.retention.check.interval.ms": "500",
            "log.segment.delete.delay.ms": "100",
            "log.initial.task.delay.ms": "500",
            **(options or {}),
        }
        self.config = self.folder / "server.properties"
        self.config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        # No logging backend in the jars: what matters comes from exceptions on stderr.
        self.java("kafka.tools.StorageTool", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c", str(self.config))
        self.start()

    def command(self, main, *arguments, heap="128m"):
        return ["java", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp",
                f"{jars()}/*", main, *arguments]

    def java(self, main, *arguments):
        done = subprocess.run(self.command(main, *arguments), capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise AssertionError(f"{main} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def start(self):
        """Returns when it takes requests."""
        log = (self.folder / "log").open("a")
        self.process = subprocess.Popen(self.command("kafka.Kafka", str(self.config), heap="384m"), stdout=log,
                                        stderr=subprocess.STDOUT)
        end = time.monotonic() + 120
        while True:
            if self.process.poll() is not None:
                raise AssertionError("Kafka ended:\n" + (self.folder / "log").read_text()[-4000:])
            answer = self.kcat("-L", "-m", "2", check=False)
            if answer.returncode == 0 and "1 brokers" in answer.stdout:
                return
            if time.monotonic() > end:
                raise AssertionError("Kafka does not start:\n" + (self.folder / "log").read_text()[-4000:])
            time.sleep(0.3)

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGKILL)
        self.scratch.cleanup()

    def kcat(self, *arguments, text=None, check=True, seconds=60):
        done = subprocess.run(["kcat", "-b", self.servers, *arguments], input=text, capture_output=True, text=True,
                              errors="surrogateescape", timeout=seconds)
        if check and done.returncode != 0:
            raise AssertionError(f"kcat {arguments} failed: {done.stderr}")
        return done

    def topics_tool(self, *arguments):
        return self.java("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.servers, *arguments)

    def topic(self, name, partitions=1, **settings):
        config = [part for key, value in settings.items() for part in ("--config", f"{key.replace('_', '.')}={value}")]
        self.topics_tool("--create", "--topic", name, "--partitions", str(partitions), *config)

    def delete_records(self, topic, partition, before):
        """Messages below the offset are gone."""
        offsets = {"version": 1, "partitions": [{"topic": topic, "partition": partition, "offset": before}]}
        path = self.folder / "delete.json"
        path.write_text(json.dumps(offsets))
        self.java("org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server", self.servers,
                  "--offset-json-file", str(path))

    def produce(self, topic, messages, partition=None, key_separator=None, more=()):
        """Messages are lines; `key_separator` splits the key off; an empty value with `-Z` is a tombstone."""
        where = ["-p", str(partition)] if partition is not None else []
        split = ["-K", key_separator, "-Z"] if key_separator else []
        self.kcat("-P", "-t", topic, *where, *split, *more, text="".join(message + "\n" for message in messages))

    def consume(self, topic, form="%s\n", committed_only=True, more=()):
        """Everything up to the end, in kcat's format."""
        level = "read_committed" if committed_only else "read_uncommitted"
        return self.kcat("-C", "-t", topic, "-e", "-q", "-X", f"isolation.level={level}", "-f", form, *more).stdout
