"""What the benchmark programs share: building, inputs, the peer's environment, measuring, the table of ratios.

Times are wall clock, CPU seconds are user + system of the whole process tree, memory is the peak resident set.
Runs of the two engines alternate, so that a noisy minute hits both; the best and the median of each are printed.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("THALWEG_BUILD", ROOT / "build"))
PEER = os.environ.get("THALWEG_BENCH_PEER", "pathway==0.33.0")


class Measured:
    def __init__(self, seconds, cpu, rss_mib):
        self.seconds, self.cpu, self.rss_mib = seconds, cpu, rss_mib


def build():
    if not (BUILD / "build.ninja").exists():
        subprocess.run(["meson", "setup", str(BUILD)], cwd=ROOT, check=True)
    subprocess.run(["ninja", "-C", str(BUILD), "daemon/thalweg", "tests/bench/benchgen"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)
    return str(BUILD / "daemon" / "thalweg")


def scratch():
    """A folder in memory if there is room, so that the disk is not what is measured."""
    base = "/dev/shm" if shutil.disk_usage("/dev/shm").free > 4 << 30 else None
    return Path(tempfile.mkdtemp(prefix="thalweg-bench-", dir=base))


def generate(path, workload, **options):
    command = [str(BUILD / "tests" / "bench" / "benchgen"), workload]
    for name, value in options.items():
        command += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    with open(path, "wb") as out:
        subprocess.run(command, stdout=out, check=True)


def peer_python():
    """The Python of a venv with the peer in it; made on the first use. None if it cannot be had."""
    venv = Path(os.environ.get("THALWEG_BENCH_VENV", ROOT / "build-peer"))
    python = venv / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        if subprocess.run([str(python), "-c", "import pathway"], capture_output=True).returncode != 0:
            print(f"installing {PEER} into {venv}", flush=True)
            subprocess.run([str(venv / "bin" / "pip"), "install", "-q", PEER], check=True)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"the peer is not here ({error}); only our own numbers follow")
        return None
    return str(python)


def start(command, env=None, log=None, cpus=None):
    pin = (lambda: os.sched_setaffinity(0, cpus)) if cpus else None
    return subprocess.Popen(command, env={**os.environ, **(env or {})}, stdout=log or subprocess.DEVNULL,
                            stderr=log or subprocess.DEVNULL, preexec_fn=pin)


def finish(process, started):
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Measured(time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def run(command, env=None, cpus=None):
    """Runs to the end; a failed run is an error with what it printed."""
    with tempfile.TemporaryFile() as log:
        started = time.monotonic()
        process = start(command, env, log, cpus)
        measured = finish(process, started)
        if process.returncode != 0:
            log.seek(0)
            raise SystemExit(f"{command} ended with {process.returncode}:\n{log.read().decode(errors='replace')[-4000:]}")
    return measured


def spin(threads):
    out = subprocess.run([str(BUILD / "tests" / "bench" / "benchgen"), "spin", "--threads", str(threads), "--seconds", "1"],
                         capture_output=True, check=True, text=True)
    return float(out.stdout)


def median(values):
    return statistics.median(values)


class Table:
    """Rows of engine × variant, and the ratios to the peer."""

    def __init__(self, title):
        print(f"\n{title}")
        print(f"{'':34}{'rows/s':>12}{'best':>12}{'CPU s':>9}{'MiB':>8}")
        self.results = {}

    def add(self, name, rows, runs):
        seconds = [r.seconds for r in runs]
        entry = {"rows_per_s": rows / median(seconds), "best": rows / min(seconds),
                 "cpu_s": median([r.cpu for r in runs]), "rss_mib": median([r.rss_mib for r in runs])}
        self.results[name] = entry
        print(f"{name:34}{entry['rows_per_s']:>12,.0f}{entry['best']:>12,.0f}{entry['cpu_s']:>9.2f}"
              f"{entry['rss_mib']:>8,.0f}", flush=True)
        return entry

    def ratio(self, ours, theirs):
        if ours not in self.results or theirs not in self.results:
            return
        a, b = self.results[ours], self.results[theirs]
        print(f"  {ours} / {theirs}: {a['rows_per_s'] / b['rows_per_s']:.1f}x rows/s, "
              f"{a['cpu_s'] / b['cpu_s']:.2f}x CPU, {a['rss_mib'] / b['rss_mib']:.2f}x memory", flush=True)


def scaling(table, name, rows, one_core, two_workers):
    """Two workers against one worker on one core, beside what a bare loop gains from the second core."""
    bare = spin(2) / spin(1)
    a, b = table.results[one_core], table.results[two_workers]
    print(f"  {name}: two workers / one on one core: {b['rows_per_s'] / a['rows_per_s']:.2f}x rows/s, "
          f"{b['cpu_s'] / a['cpu_s']:.2f}x CPU; a bare loop gains {bare:.2f}x", flush=True)


def write_json(path, data):
    Path(path).write_text(json.dumps(data, indent=2) + "\n")
