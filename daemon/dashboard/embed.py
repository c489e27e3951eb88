"""embed.py OUT.cc [FILE...]: the files as a table in C++ source, each plain and packed. Run by Meson."""

import gzip
import hashlib
import sys
from pathlib import Path

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
PIECE = 2000  # bytes of one literal on a line


def literal(data):
    """Bytes as string literals: octal escapes of three digits cannot run into what follows."""
    pieces = []
    for begin in range(0, len(data), PIECE):
        text = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in data[begin:begin + PIECE])
        pieces.append(f'    "{text}"')
    return "\n".join(pieces) or '    ""'


def main():
    out, *files = map(Path, sys.argv[1:])
    lines = ['#include "daemon/dashboard/dashboard.h"', "namespace thalweg::daemon {", "namespace {"]
    rows = []
    for number, path in enumerate(sorted(files, key=lambda p: p.name)):
        plain = path.read_bytes()
        packed = gzip.compress(plain, 9, mtime=0)
        etag = hashlib.sha256(plain).hexdigest()[:16]
        lines += [f"constexpr char kPlain{number}[] =\n{literal(plain)};", f"constexpr char kGzip{number}[] =\n{literal(packed)};"]
        rows.append(f'    {{"{path.name}", "{TYPES[path.suffix]}", "\\"{etag}\\"", {{kPlain{number}, {len(plain)}}}, '
                    f"{{kGzip{number}, {len(packed)}}}}},")
    if rows:
        lines += ["constexpr DashboardFile kFiles[] = {", *rows, "};"]
    lines += ["}  // namespace",
              f"std::span<const DashboardFile> dashboard_files() {{ return {'kFiles' if rows else '{}'}; }}",
              "}  // namespace thalweg::daemon", ""]
    out.write_text("\n".join(lines))


main()
