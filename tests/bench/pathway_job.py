"""The benchmark jobs as the peer's users write them. Run by the benchmark programs, in a venv that has it.

    pathway_job.py JOB static|streaming INPUT OUTPUT
"""

import sys

import pathway as pw


class Word(pw.Schema):
    word: str


class Cell(pw.Schema):
    k: int
    name: str
    value: float
    flag: bool


class Order(pw.Schema):
    order_id: int
    customer_id: int
    amount: int


class Customer(pw.Schema):
    customer_id: int
    region: str


def read(reader, path, schema, mode):
    extra = {"autocommit_duration_ms": 100} if mode == "streaming" else {}
    return reader.read(path, schema=schema, mode=mode, **extra)


def wordcount(mode, source, target):
    words = read(pw.io.jsonlines, source, Word, mode)
    counts = words.groupby(words.word).reduce(words.word, count=pw.reducers.count())
    pw.io.csv.write(counts, target)


def csv_to_null(mode, source, _target):
    pw.io.null.write(read(pw.io.csv, source, Cell, mode))


def groupby_join(mode, source, target):
    orders = read(pw.io.csv, f"{source}/orders", Order, mode)
    customers = read(pw.io.csv, f"{source}/customers", Customer, mode)
    joined = orders.join(customers, orders.customer_id == customers.customer_id).select(
        customers.region, orders.amount)
    totals = joined.groupby(joined.region).reduce(
        joined.region, orders=pw.reducers.count(), total=pw.reducers.sum(joined.amount),
        largest=pw.reducers.max(joined.amount))
    pw.io.csv.write(totals, target)


if __name__ == "__main__":
    job, mode, source, target = sys.argv[1:]
    {"wordcount": wordcount, "csv_to_null": csv_to_null, "groupby_join": groupby_join}[job](mode, source, target)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
