"""The jobs over event time as the peer's users write them. Run by `run`, in a venv that has it.

    pathway_job.py JOB FOLDER OUTPUT
"""

import sys

import pathway as pw


class Event(pw.Schema):
    k: int
    t: int
    v: int


def read(folder, name):
    return pw.io.csv.read(f"{folder}/{name}.csv", schema=Event, mode="static")


def tumbling(folder):
    events = read(folder, "left")
    return events.windowby(events.t, window=pw.temporal.tumbling(duration=1000), instance=events.k).reduce(
        k=pw.this._pw_instance, start=pw.this._pw_window_start, n=pw.reducers.count())


def sliding(folder):
    events = read(folder, "left")
    windows = events.windowby(events.t, window=pw.temporal.sliding(hop=10, duration=600), instance=events.k).reduce(
        k=pw.this._pw_instance, n=pw.reducers.count(), total=pw.reducers.sum(pw.this.v))
    return windows.groupby(windows.k).reduce(
        windows.k, windows=pw.reducers.count(), n=pw.reducers.sum(windows.n), top=pw.reducers.max(windows.total))


def sessions(folder):
    events = read(folder, "left")
    windows = events.windowby(events.t, window=pw.temporal.session(max_gap=4), instance=events.k).reduce(
        k=pw.this._pw_instance, n=pw.reducers.count())
    return windows.groupby(windows.k).reduce(windows.k, sessions=pw.reducers.count(), longest=pw.reducers.max(windows.n))


def asof(folder):
    trades, quotes = read(folder, "left"), read(folder, "right")
    joined = trades.asof_join(quotes, trades.t, quotes.t, trades.k == quotes.k, how=pw.JoinMode.LEFT,
                              defaults={quotes.v: 0}).select(k=trades.k, price=trades.v, quote=quotes.v)
    return joined.groupby(joined.k).reduce(
        joined.k, n=pw.reducers.count(), prices=pw.reducers.sum(joined.price), quotes=pw.reducers.sum(joined.quote))


def interval(folder):
    left, right = read(folder, "left"), read(folder, "right")
    joined = left.interval_join(right, left.t, right.t, pw.temporal.interval(-1, 1), left.k == right.k).select(
        k=left.k, a=left.v, b=right.v)
    return joined.groupby(joined.k).reduce(
        joined.k, n=pw.reducers.count(), left=pw.reducers.sum(joined.a), right=pw.reducers.sum(joined.b))


if __name__ == "__main__":
    job, folder, target = sys.argv[1:]
    pw.io.csv.write(globals()[job](folder), target)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
