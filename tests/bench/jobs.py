"""Starts a job in either engine, and knows when its answer is complete."""

import collections
import csv
import os
import signal
import time

import bench


class Job:
    """One job (a YAML file here, a function of pathway_job.py there) over one input."""

    def __init__(self, name, thalweg, peer, source, work):
        self.name, self.thalweg, self.peer, self.source, self.work = name, thalweg, peer, source, work
        self.target = work / "out.csv"

    def command(self, engine, mode, source, workers=1):
        env = {"INPUT": str(source), "OUTPUT": str(self.target), "MODE": mode}
        if engine == "thalweg":
            return [self.thalweg, "run", "--quiet", "--workers", str(workers),
                    str(bench.HERE / f"{self.name}.yaml")], env
        return [self.peer, str(bench.HERE / "pathway_job.py"), self.name, mode, str(source), str(self.target)], \
            {**env, "PATHWAY_THREADS": str(workers), "PATHWAY_PROCESSES": "1"}

    def run_static(self, engine, source=None, workers=1, cpus=None):
        self.target.unlink(missing_ok=True)
        command, env = self.command(engine, "static", source or self.source, workers)
        return bench.run(command, env, cpus)

    def run_streaming(self, engine, is_complete, folder, feed, workers=1, cpus=None, seconds_max=600):
        """Time from the moment the input appears in a watched folder until the output is complete.

        `feed(0)` puts a little input there first: when its answer is out, the engine is up. `feed(1)` adds the rest.
        """
        self.target.unlink(missing_ok=True)
        feed(0)
        command, env = self.command(engine, "streaming", folder, workers)
        with open(self.work / "log", "wb") as log:
            begun = time.monotonic()
            process = bench.start(command, env, log, cpus)
            follower = Follower(self.target)
            try:
                for step in (0, 1):
                    if step == 1:
                        time.sleep(0.5)
                        started = time.monotonic()
                        feed(1)
                    while not is_complete(follower.state(), step):
                        if process.poll() is not None:
                            text = (self.work / "log").read_text(errors="replace")
                            raise SystemExit(f"{command} ended early:\n{text[-4000:]}")
                        if time.monotonic() - begun > seconds_max:
                            raise SystemExit(f"{command}: no complete answer after {seconds_max} s")
                        time.sleep(0.005)
                seconds = time.monotonic() - started
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGINT if engine == "thalweg" else signal.SIGKILL)
            measured = bench.finish(process, begun)
        return bench.Measured(seconds, measured.cpu, measured.rss_mib)


class Follower:
    """The state that a csv stream of changes adds up to, read as it grows."""

    def __init__(self, path):
        self.path, self.file, self.rest, self.names, self.rows = path, None, "", None, collections.Counter()

    def state(self):
        if self.file is None:
            if not self.path.exists():
                return self
            self.file = open(self.path, encoding="utf-8", newline="")
        text = self.rest + self.file.read()
        cut = text.rfind("\n") + 1
        self.rest = text[cut:]
        for row in csv.reader(text[:cut].splitlines()):
            self._add(row)
        return self

    def _add(self, row):
        if self.names is None:
            self.names = row
            self.diff = row.index("diff")
            self.kept = [i for i, name in enumerate(row) if name not in ("time", "diff")]
            return
        cells = tuple(row[i] for i in self.kept)
        self.rows[cells] += int(row[self.diff])
        if self.rows[cells] == 0:
            del self.rows[cells]

    def total(self, column):
        if self.names is None:
            return 0
        at = [self.names[i] for i in self.kept].index(column)
        return sum(int(cells[at]) * count for cells, count in self.rows.items())

    def as_set(self, columns):
        if self.names is None:
            return set()
        at = [[self.names[i] for i in self.kept].index(column) for column in columns]
        return {tuple(cells[i] for i in at) for cells in self.rows}


def final_rows(path, columns):
    return Follower(path).state().as_set(columns)


def check(path, columns, expected, who):
    got = final_rows(path, columns)
    if got != expected:
        raise SystemExit(f"{who}: wrong answer: {len(got - expected)} rows too many, {len(expected - got)} missing; "
                         f"e.g. {sorted(got ^ expected)[:4]}")
