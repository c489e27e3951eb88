"""Word count from Kafka to Kafka at a fixed rate: CPU of the engine per million records, and latency.

    python3 tests/bench/kafka/run.py [--rate 100000] [--seconds 10] [--engines thalweg,exactly-once,pathway] [--binary B]
    python3 tests/bench/kafka/run.py --max-rate [--rate 50000] …

With --max-rate each engine is offered more and more, from --rate on, half as much again at a time, until it falls behind;
then the range between is halved. It keeps up as long as the load goes out at its rate, the last answer comes within
--behind seconds of the last word, and half of the answers within that time.

The broker, the load and the engine share the machine: compare engines of one call, nothing else. The peer comes from
THALWEG_BENCH_VENV (a venv with pathway in it).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "bench")]
from kafka_broker import Broker  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """Of a process with all of its threads, and its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(fields[i]) for i in (11, 12)) / TICKS


def command_of(engine, options, broker, source, target, delivery):
    if engine == "pathway":
        python = Path(os.environ.get("THALWEG_BENCH_VENV", ROOT / "build-peer")) / "bin" / "python"
        return [str(python), str(HERE / "pathway_wordcount.py"), broker.servers, source, target], {
            "PATHWAY_THREADS": str(options.workers), "PATHWAY_YOLO_RARE_WAKEUPS": options.rare}
    return [options.binary, "run", "--workers", str(options.workers), str(HERE / "wordcount.yaml")], {
        "BROKERS": broker.servers, "IN": source, "OUT": target, "DELIVERY": delivery, "COMMIT": options.commit}


def measure(engine, options, broker, name):
    source, target = f"in-{name}", f"out-{name}"
    broker.topic(source)
    broker.topic(target)
    delivery = "exactly_once" if engine == "exactly-once" else "at_least_once"
    command, more = command_of(engine, options, broker, source, target, delivery)
    load = [options.load, "--brokers", broker.servers, "--in", source, "--out", target, "--rate", str(options.rate),
            "--count", str(options.rate * options.seconds), "--warm-up", str(options.rate * 3)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env={**os.environ, **more}, stdout=log, stderr=log)
        try:
            loader = subprocess.Popen(load, stdout=subprocess.PIPE, text=True)
            started = None
            done = None
            for line in loader.stdout:
                event = json.loads(line)
                if event["event"] == "measuring":
                    started = cpu_seconds(process.pid)
                else:
                    done = event
            if done is None or loader.wait() != 0:
                log.seek(0)
                raise SystemExit(f"{engine}: {done}\n{log.read().decode(errors='replace')[-3000:]}")
            cpu = cpu_seconds(process.pid) - started
        finally:
            process.kill()
            process.wait()
    return {"cpu_per_million": cpu / (done["sent"] / 1e6), **done}


def keeps_up(got, options, rate):
    """Whether the words went out at the rate that was asked for, and their counts came as fast."""
    return got["all_s"] <= options.seconds + options.behind and got["p50_ms"] <= options.behind * 1000


def max_rate(engine, options, broker):
    """The highest rate that it kept up with, and what was measured then."""
    best, low, high, rate = None, 0, None, options.rate
    for step in range(options.steps):
        options.rate = rate
        try:
            got = measure(engine, options, broker, f"{engine}-max-{step}")
        except SystemExit as problem:  # it lost the race altogether
            got = None
            print(f"  {engine} at {rate:,}: {str(problem).splitlines()[0][:100]}", flush=True)
        good = got is not None and keeps_up(got, options, rate)
        if got:
            print(f"  {engine} at {rate:,}: {'keeps up' if good else 'falls behind'}, all in {got['all_s']:.1f} s, "
                  f"p50 {got['p50_ms']} ms", flush=True)
        if good:
            best, low = (rate, got), rate
        else:
            high = rate
        rate = int(low * 1.5) if high is None else (low + high) // 2
        if rate < 1000 or (high is not None and high - low < 0.1 * high):
            break
    return best


def find_max_rates(options):
    print(f"the highest rate kept up with for {options.seconds} s, {options.workers} worker(s); the load and the broker "
          "share the machine")
    first = options.rate
    with Broker({"log.retention.bytes": "2000000000"}) as broker:
        for engine in options.engines.split(","):
            options.rate = first
            best = max_rate(engine, options, broker)
            if best is None:
                print(f"{engine:14} below {first:,}", flush=True)
                continue
            rate, got = best
            print(f"{engine:14}{rate:>12,} words/s  {got['cpu_per_million']:.2f} CPU s/M  p50 {got['p50_ms']} ms  "
                  f"p95 {got['p95_ms']} ms", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--commit", default="20ms", help="our commit_interval; the peer's autocommit is 100 ms")
    parser.add_argument("--rare", default="0", help="PATHWAY_YOLO_RARE_WAKEUPS of the peer")
    parser.add_argument("--engines", default="thalweg,exactly-once,pathway")
    parser.add_argument("--binary", default=str(ROOT / "build" / "daemon" / "thalweg"))
    parser.add_argument("--load", default=str(ROOT / "build" / "tests" / "bench" / "kafka_load"))
    parser.add_argument("--max-rate", action="store_true", help="find the highest rate of each engine")
    parser.add_argument("--steps", type=int, default=10, help="of --max-rate, at most")
    parser.add_argument("--behind", type=float, default=2.0, help="seconds that answers may lag behind under --max-rate")
    options = parser.parse_args()
    if options.max_rate:
        return find_max_rates(options)
    print(f"{options.rate:,} words a second for {options.seconds} s, {options.workers} worker(s)")
    print(f"{'engine':14}{'CPU s/M':>9}{'p50 ms':>8}{'p95 ms':>8}{'p99 ms':>8}{'max ms':>8}{'all s':>8}")
    with Broker({"log.retention.bytes": "2000000000"}) as broker:
        for run in range(options.runs):
            for engine in options.engines.split(","):
                got = measure(engine, options, broker, f"{engine}-{run}")
                print(f"{engine:14}{got['cpu_per_million']:>9.2f}{got['p50_ms']:>8}{got['p95_ms']:>8}{got['p99_ms']:>8}"
                      f"{got['max_ms']:>8}{got['all_s']:>8.1f}", flush=True)
                time.sleep(1)


if __name__ == "__main__":
    main()
