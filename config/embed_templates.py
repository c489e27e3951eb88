"""Turns template files into a C++ table: template, file, text. Usage: embed_templates.py OUT templates/NAME/FILE..."""

import sys
from pathlib import Path


def literal(text):
    """As string literals of one line each; C++ joins them."""
    lines = text.splitlines(keepends=True) or [""]
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for line in lines)
    return "\n    ".join(f'"{line}"' for line in escaped)


def main():
    out, *paths = sys.argv[1:]
    rows = []
    for path in paths:
        template, _, name = path.rpartition("templates/")[2].partition("/")
        rows.append(f'{{"{template}", "{name}",\n    {literal(Path(path).read_text())}}},\n')
    Path(out).write_text("".join(rows))


main()
