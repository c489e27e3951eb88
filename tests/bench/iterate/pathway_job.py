"""Connected components as the peer's users write them. Run by components in a venv that has the peer.

    pathway_job.py EDGES UPDATES LABELS

Edges come in one commit, every update in one of its own, from a list in memory. Prints the seconds of the whole run,
wall clock and of processor (commits without a change are told to nobody, so single updates cannot be timed from
outside: components subtracts a run without them); writes the final labels.
"""

import csv
import sys
import time

import pathway as pw


class Edge(pw.Schema):
    a: int
    b: int


def step(labels, links):
    seen = labels.join(links, labels.node == links.a).select(node=links.b, label=labels.label)
    both = labels.select(labels.node, labels.label).concat_reindex(seen)
    return both.groupby(both.node).reduce(both.node, label=pw.reducers.min(both.label))


def components(edges):
    links = edges.concat_reindex(edges.select(a=edges.b, b=edges.a))
    start = links.groupby(links.a).reduce(node=links.a, label=links.a)
    return pw.iterate(lambda labels, links: dict(labels=step(labels, links)),
                      labels=pw.iterate_universe(start), links=links).labels


def stream(edges_path, updates_path):
    """(key, a, b, time, diff): edges that are there twice are two rows."""
    copies, rows = {}, []

    def add(a, b, commit, diff):
        copy = copies.get((a, b), 0) - (diff < 0)
        rows.append((f"{a} {b} {copy}", a, b, commit, diff))
        copies[a, b] = copy + (diff > 0)

    with open(edges_path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            add(int(row["a"]), int(row["b"]), 2, 1)
    with open(updates_path, encoding="utf-8", newline="") as file:
        for i, row in enumerate(csv.DictReader(file)):
            add(int(row["a"]), int(row["b"]), 4 + 2 * i, int(row["diff"]))
    return rows


class KeyedEdge(Edge):
    name: str = pw.column_definition(primary_key=True)


def main(edges_path, updates_path, labels_path):
    rows = [(a, b, name, commit, diff) for name, a, b, commit, diff in stream(edges_path, updates_path)]
    edges = pw.debug.table_from_rows(KeyedEdge, rows, is_stream=True)
    labels = {}

    def on_change(key, row, time, is_addition):
        if is_addition:
            labels[key] = (row["node"], row["label"])
        elif labels.get(key) == (row["node"], row["label"]):
            del labels[key]

    pw.io.subscribe(components(edges.select(edges.a, edges.b)), on_change=on_change)
    started = (time.monotonic(), time.process_time())
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    print("bulk", time.monotonic() - started[0], time.process_time() - started[1])
    with open(labels_path, "w", encoding="utf-8") as out:
        out.write("node,label\n")
        out.writelines(f"{node},{label}\n" for node, label in labels.values())


if __name__ == "__main__":
    main(*sys.argv[1:])
