"""An application of documents for tests: a daemon with it, a stub that stands for the models."""

import json
import socket
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from daemon_client import Server, until


class Stub:
    """Speaks OpenAI's language. Vectors count letters; the chat obeys all that it reads, and tells what it read."""

    def __init__(self):
        self.embedded, self.asked, self.failures = [], [], []
        self.says = None  # a function of (messages) that answers in place of the rules below
        self.gate = threading.Event()  # a streamed answer waits for it behind its first word
        self.gate.set()
        self.breaks = 0  # so many streamed answers end behind their first word
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, headers, answer = stub.answer(self.path, body, self.headers)
                if status == 200 and body.get("stream"):
                    return self.stream(answer)
                data = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def stream(self, answer):
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream; charset=utf-8")
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True
                words = answer["choices"][0]["message"]["content"].split(" ")
                for i, word in enumerate(words):
                    self.piece({"choices": [{"delta": {"content": word if i == 0 else " " + word}}]})
                    if stub.breaks:
                        stub.breaks -= 1
                        return self.piece({"error": {"message": "overloaded"}})
                    assert stub.gate.wait(30)
                self.piece({"choices": [], "usage": answer["usage"]})
                self.wfile.write(b"data: [DONE]\n\n")

            def piece(self, data):
                self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")
                self.wfile.flush()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path, body, headers):
        if headers["Authorization"] != "Bearer secret-key":
            return 401, {}, {"error": {"message": "wrong key"}}
        if self.failures:
            return self.failures.pop(0)
        if path.endswith("/rerank"):
            return 200, {}, [{"index": i, "score": text.lower().count("moon")} for i, text in enumerate(body["texts"])]
        if path.endswith("/embeddings"):
            self.embedded += body["input"]
            return 200, {}, {"data": [{"index": i, "embedding": self.vector(text)}
                                      for i, text in enumerate(body["input"])]}
        prompt = body["messages"][-1]["content"]
        self.asked.append((body["model"], prompt))
        said = self.says(body["messages"]) if self.says else None
        if said is not None:
            answer = said
        elif '"score"' in prompt:
            answer = '{"score": 5}' if "moon" in prompt.split("Question:")[0] else '{"score": 1}'
        elif "Summary:" in prompt:
            answer = "a summary"
        elif "the moon is made of cheese" in prompt:
            answer = "cheese"
        else:
            answer = "No information found."
        return 200, {}, {"choices": [{"message": {"role": "assistant", "content": answer}}],
                         "usage": {"prompt_tokens": len(prompt), "completion_tokens": 2}}

    @staticmethod
    def vector(text):
        return [float(text.lower().count(letter)) + 0.01 for letter in "abcdefghijklmnopqrstuvwxyz"]


MODELS = """
$llm: !pw.xpacks.llm.llms.OpenAIChat
  model: gpt-stub
  base_url: URL
  retry_strategy: !pw.udfs.FixedDelayRetryStrategy {max_retries: 2, delay_ms: 10}
$embedder: !pw.xpacks.llm.embedders.OpenAIEmbedder
  base_url: URL
  retry_strategy: !pw.udfs.FixedDelayRetryStrategy {max_retries: 2, delay_ms: 10}
"""
STORE = """
host: 127.0.0.1
port: PORT
$sources:
  - !pw.io.fs.read {path: ./docs, format: binary, with_metadata: true}
"""
BM25 = STORE + """
document_store: !pw.xpacks.llm.document_store.DocumentStore
  docs: $sources
  retriever_factory: !pw.indexing.TantivyBM25Factory {}
"""
RAG = STORE + MODELS + """
$store: !pw.xpacks.llm.document_store.DocumentStore
  docs: $sources
  splitter: !pw.xpacks.llm.splitters.TokenCountSplitter {max_tokens: 100}
  retriever_factory: !pw.indexing.HybridIndexFactory
    retriever_factories:
      - !pw.indexing.TantivyBM25Factory {}
      - !pw.indexing.BruteForceKnnFactory {embedder: $embedder}
question_answerer: !pw.xpacks.llm.question_answering.KIND
  llm: $llm
  indexer: $store
MORE
"""
DOCS = {"moon.txt": "the moon is made of cheese", "sun.md": "the sun is made of fire"}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class App(Server):
    def __init__(self, text, stub=None, docs=None, environment=None, hosts="127.0.0.1"):
        self.port = free_port()
        text = text.replace("PORT", str(self.port)).replace("URL", stub.url if stub else "http://127.0.0.1:9")
        pipelines = {f"docs/{name}": content for name, content in (docs or DOCS).items()}
        pipelines["app.yaml"] = text
        super().__init__(pipelines=pipelines, config=f"allow_hosts: [{hosts}]\n",
                         environment=environment or {"OPENAI_API_KEY": "secret-key"})
        until(lambda: self.state("app") == "running")

    def ask(self, path, body, method="POST"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method,
                                         data=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def events(self, path, body, headers=None):
        """The events of a streamed answer as (name, data), as they come."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json", **(headers or {})})
        with urllib.request.urlopen(request, timeout=30) as reply:
            assert reply.headers["Content-Type"] == "text/event-stream", reply.headers
            name = None
            for line in reply:
                line = line.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line[len("event: "):]
                elif line.startswith("data: "):
                    yield name, json.loads(line[len("data: "):])

    def file_count(self):
        return self.ask("/v1/statistics", {})[1]["file_count"]


def names(documents):
    return sorted(Path(document["path"]).name for document in documents)
