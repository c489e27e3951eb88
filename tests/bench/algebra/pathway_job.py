"""The benchmark jobs as the peer's users write them, over csv, with changes from a Python connector.

    pathway_job.py JOB ROWS KEYS UPDATES FOLDER     one line of JSON

Single updates are measured twice: each sent when the last one's answer is there (update_us), and one commit after the
other without waiting (stream_us: time over their number).
"""

import json
import queue
import resource
import sys
import time

import pathway as pw
from pathway.internals.api import ref_scalar

MASK = (1 << 64) - 1


def mix(i):
    z = (i + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class Row(pw.Schema):
    a: int
    b: int


class Person(pw.Schema):
    person: int
    height: int


class Job:
    def __init__(self, name, rows, keys, updates, folder):
        self.name, self.rows, self.keys, self.updates, self.folder = name, rows, keys, updates, folder

    def key(self, i):
        return mix(i) % self.keys

    def value(self, i):
        return mix(i ^ (1 << 40)) % 1_000_000

    def row(self, i):
        return (self.key(i), i % 1000 if self.name == "join" else self.value(i))

    def deletions(self):
        return [(i, self.row(i), -1) for i in range(0, self.rows, 10)] if self.name == "groupby" else []

    def update(self, u):
        if self.name == "join":
            i = u * 104_729 % self.rows
            a, b = self.row(i)
            return [(i, (a, b), -1), (i, (a, b + 1000), 1)]
        if self.name == "groupby":
            return [(10 * u + 1, self.row(10 * u + 1), -1)]
        return [(self.rows + u // 2, (self.key(self.rows + u // 2), -1 - u // 2), 1 if u % 2 == 0 else -1)]


def result(job, table):
    if job.name == "join":
        people = pw.io.csv.read(f"{job.folder}/people.csv", schema=Person, mode="static")
        joined = table.join(people, table.a == people.person).select(amount=table.b, height=people.height)
        return joined.reduce(n=pw.reducers.count(), s=pw.reducers.sum(pw.this.amount), t=pw.reducers.sum(pw.this.height))
    if job.name == "groupby":
        groups = table.groupby(pw.this.a).reduce(
            pw.this.a, n=pw.reducers.count(), low=pw.reducers.min(pw.this.b), high=pw.reducers.max(pw.this.b))
        return groups.reduce(n=pw.reducers.sum(pw.this.n), s=pw.reducers.sum(pw.this.low), t=pw.reducers.sum(pw.this.high))
    sorted_values = table.groupby(pw.this.a).reduce(top=pw.reducers.sorted_tuple(pw.this.b))
    top = sorted_values.select(top=pw.apply_with_type(lambda values: values[:10], tuple[int, ...], pw.this.top)).flatten(pw.this.top)
    return top.reduce(n=pw.reducers.count(), s=pw.reducers.sum(pw.this.top))


class Changes(pw.io.python.ConnectorSubject):
    """Waits for the answer over the files, then sends what changes."""

    def __init__(self, job, answers, report):
        super().__init__()
        self.job, self.answers, self.report = job, answers, report

    def send(self, changes):
        for i, (a, b), diff in changes:
            key = ref_scalar(i)
            (self._add_inner if diff > 0 else self._remove_inner)(key, {"a": a, "b": b})
        self.commit()

    def run(self):
        count = self.job.rows if self.job.name != "topk" else None
        self.report.bulk(self.answers.get_until(lambda sums: count is None or sums[0] == count))
        deletions = self.job.deletions()
        if deletions:
            start = time.monotonic()
            for change in deletions[:-1]:
                self._remove_inner(ref_scalar(change[0]), {"a": change[1][0], "b": change[1][1]})
            self.send(deletions[-1:])
            self.report.deletes(time.monotonic() - start, self.answers.get_until(lambda sums: sums[0] == count - len(deletions)))
            self.report.numbers["deletes_s"] = time.monotonic() - start
        updates = self.job.updates
        for u in range(updates):
            changes = self.job.update(u)
            start = time.monotonic()
            self.send(changes)
            sums = self.answers.get()
            self.report.numbers["update_us"].append((time.monotonic() - start) * 1e6)
        self.report.numbers["sums"].append(sums)
        start = time.monotonic()
        for u in range(updates, 2 * updates):
            self.send(self.job.update(u))
        for _ in range(updates):
            self.answers.get()
        self.report.numbers["stream_us"] = (time.monotonic() - start) / updates * 1e6

    @property
    def _deletions_enabled(self):
        return True


class Answers:
    """The sums after each commit that changed them."""

    def __init__(self):
        self.queue, self.row = queue.SimpleQueue(), None

    def on_change(self, key, row, time, is_addition):
        if is_addition:
            self.row = [row["n"], row["s"], row.get("t", 0)]

    def on_time_end(self, time):
        if self.row is not None:
            self.queue.put(self.row)
            self.row = None

    def get(self):
        return self.queue.get(timeout=1200)

    def get_until(self, good):
        while True:
            sums = self.get()
            if good(sums):
                return sums


class Report:
    def __init__(self):
        self.numbers = {"update_us": [], "sums": [], "deletes_s": 0.0}

    def start(self):
        self.started, self.cpu_started = time.monotonic(), self.cpu()

    @staticmethod
    def cpu():
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    def bulk(self, sums):
        self.numbers["bulk_s"] = time.monotonic() - self.started
        self.numbers["bulk_cpu_s"] = self.cpu() - self.cpu_started
        self.numbers["sums"].append(sums)

    def deletes(self, seconds, sums):
        self.numbers["deletes_s"] = seconds
        self.numbers["sums"].append(sums)


def main():
    name, rows, keys, updates, folder = sys.argv[1:]
    job = Job(name, int(rows), int(keys), int(updates), folder)
    report, answers = Report(), Answers()
    files = pw.io.csv.read(f"{folder}/rows.csv", schema=Row, mode="static")
    # Commits are the subject's own: the peer's timer would cut an update into two now and then, with an answer for each.
    changes = pw.io.python.read(Changes(job, answers, report), schema=Row, autocommit_duration_ms=60_000)
    pw.universes.promise_are_pairwise_disjoint(files, changes)
    pw.io.subscribe(result(job, files.concat(changes)), on_change=answers.on_change, on_time_end=answers.on_time_end)
    report.start()
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    print(json.dumps(report.numbers))


if __name__ == "__main__":
    main()
