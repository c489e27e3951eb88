#!/usr/bin/env python3
"""Watches web pages and keeps the table of their titles and links current.

Speaks the protocol of `!io.exec.read`: JSON lines on stdin and stdout. Pages are asked for in turn every INTERVAL
seconds, with If-None-Match, so that a page that did not change costs its server next to nothing. A page that is gone
(404, 410) is deleted. The offset holds the ETags: after a restart unchanged pages are not read again.

    scraper.py INTERVAL URL...        (INTERVAL 0: one round, then the end)
"""
import html.parser
import json
import select
import sys
import urllib.error
import urllib.request

BYTES_MAX = 4 << 20
TIMEOUT = 20


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.title, self.links, self.in_title = "", [], False

    def handle_starttag(self, tag, attrs):
        self.in_title = tag == "title"
        if tag == "a" and dict(attrs).get("href"):
            self.links.append(dict(attrs)["href"])

    def handle_endtag(self, tag):
        if tag == "title":
            self.in_title = False

    def handle_data(self, data):
        if self.in_title:
            self.title += data


def send(message):
    print(json.dumps(message), flush=True)


def visit(url, etags):
    """Tells what became of one page. A server in trouble is no change."""
    request = urllib.request.Request(url, headers={"User-Agent": "thalweg-example"})
    if url in etags:
        request.add_header("If-None-Match", etags[url])
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            page = Page()
            page.feed(answer.read(BYTES_MAX).decode("utf-8", "replace"))
            send({"insert": {"url": url, "title": " ".join(page.title.split()), "links": page.links}})
            if answer.headers.get("ETag"):
                etags[url] = answer.headers["ETag"]
    except urllib.error.HTTPError as error:
        if error.code in (404, 410):
            etags.pop(url, None)
            send({"delete": {"url": url}})
        elif error.code != 304:
            print(f"{url}: status {error.code}", file=sys.stderr)
    except (OSError, ValueError) as error:
        print(f"{url}: {error}", file=sys.stderr)


def told_to_end(seconds):
    """Waits, and listens meanwhile."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    if not ready:
        return False
    line = sys.stdin.readline()
    return not line or json.loads(line).get("event") == "end"


def main():
    interval, urls = float(sys.argv[1]), sys.argv[2:]
    etags = {}
    while True:
        message = json.loads(sys.stdin.readline() or '{"event": "end"}')
        if message.get("event") == "seek":
            etags = message["offset"]
        elif message.get("event") == "end":
            return
        elif message.get("event") == "read":
            break
    while True:
        for url in urls:
            visit(url, etags)
        send({"commit": etags})
        if interval == 0 or told_to_end(interval):
            return


main()
