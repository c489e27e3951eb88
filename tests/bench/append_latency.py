#!/usr/bin/env python3
"""From a row appended to a watched file to its effect at a reader, through a join with a million rows and a grouping.

    append_latency.py THALWEG [SAMPLES]

Prints percentiles of the time from the start of the write to the arrival of the server-sent change.
"""
import http.client
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PIPELINE = """
$people: !io.csv.read
  path: ./people.csv
  mode: static
  schema: !schema {id: {type: int, primary_key: true}, name: str}
$orders: !io.jsonlines.read
  path: ./orders.jsonl
  mode: streaming
  schema: !schema_from_types {order: int, person: int, amount: int}
$joined: !join
  left: $orders
  right: $people
  on: [left.person == right.id]
  select: {name: right.name, amount: left.amount}
by_name: !groupby
  table: $joined
  by: [name]
  reduce: {n: count(), total: sum(amount)}
"""
PEOPLE = 1_000_000


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_ready(port):
    for _ in range(600):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit("not ready after a minute")


def main():
    binary, samples = str(Path(sys.argv[1]).resolve()), int(sys.argv[2]) if len(sys.argv) > 2 else 300
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "latency.yaml").write_text(PIPELINE)
        with open(work / "people.csv", "w") as f:
            f.write("id,name\n")
            f.writelines(f"{i},person number {i % 1000}\n" for i in range(PEOPLE))
        orders = work / "orders.jsonl"
        orders.write_text("".join(f'{{"order":{i},"person":{i * 7},"amount":{i}}}\n' for i in range(1000)))
        port = free_port()
        run = subprocess.Popen([binary, "run", "latency.yaml", "--listen", f"127.0.0.1:{port}"], cwd=work,
                               stderr=subprocess.DEVNULL)
        try:
            wait_ready(port)
            reader = socket.create_connection(("127.0.0.1", port))
            reader.sendall(f"GET /api/v1/pipelines/latency/tables/by_name/changes HTTP/1.1\r\n"
                           f"Host: 127.0.0.1:{port}\r\n\r\n".encode())
            lines = reader.makefile("rb")
            time.sleep(0.5)
            seconds = []
            for i in range(samples):
                started = time.perf_counter()
                with open(orders, "a") as f:
                    f.write(f'{{"order":{5000 + i},"person":5,"amount":1}}\n')
                for line in lines:
                    if b'"diff":1,' in line and b'person number 5"' in line:
                        break
                else:
                    sys.exit("the stream ended")
                seconds.append(time.perf_counter() - started)
                time.sleep(0.02)
        finally:
            run.terminate()
            run.wait()
    seconds.sort()
    at = [1000 * seconds[int(q * (len(seconds) - 1))] for q in (0.5, 0.9, 0.99, 1)]
    print("append to change, {} samples: p50 {:.2f} ms, p90 {:.2f} ms, p99 {:.2f} ms, max {:.2f} ms".format(samples, *at))


if __name__ == "__main__":
    main()
