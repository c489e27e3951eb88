"""The word count as the peer's users write it: `pathway_wordcount.py BROKERS IN OUT`."""

import sys

import pathway as pw


class Word(pw.Schema):
    word: str


brokers, source, target = sys.argv[1:]
words = pw.io.kafka.read(
    {"bootstrap.servers": brokers, "group.id": "wordcount", "auto.offset.reset": "earliest",
     "queued.min.messages": "3000000"},
    topic=source, schema=Word, format="json", autocommit_duration_ms=100)
counts = words.groupby(words.word).reduce(words.word, count=pw.reducers.count())
pw.io.kafka.write(counts, {"bootstrap.servers": brokers}, topic_name=target, format="dsv")
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
