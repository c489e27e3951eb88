"""Debian's package index as files that a pipeline can read.

    apt_index.py FOLDER

writes FOLDER/packages/<letter>.csv and FOLDER/depends/<letter>.csv from `apt-cache dumpavail` (the index that apt
keeps in /var/lib/apt/lists), and FOLDER/installed/dpkg.jsonl from dpkg's list. Prints how many records there were.
"""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*")


def records(text):
    """Fields of each paragraph; continuation lines are of no use here."""
    for paragraph in text.split("\n\n"):
        fields = {}
        for line in paragraph.split("\n"):
            name, colon, value = line.partition(": ")
            if colon and not name.startswith(" "):
                fields[name] = value
        if "Package" in fields:
            yield fields


def needs(field):
    """Package names of a Depends field, the first alternative of each, without doubles."""
    found = {}
    for part in field.split(","):
        match = NAME.match(part.strip())
        if match:
            found[match.group()] = True
    return list(found)


class Shards:
    """One csv file per first letter, so that a part of the index can be edited or deleted."""

    def __init__(self, folder, header):
        folder.mkdir(parents=True)
        self.folder, self.header, self.files = folder, header, {}

    def add(self, row):
        letter = row[0][0]
        if letter not in self.files:
            file = open(self.folder / f"{letter}.csv", "w", encoding="utf-8", newline="")
            self.files[letter] = (file, csv.writer(file, lineterminator="\n"))
            self.files[letter][1].writerow(self.header)
        self.files[letter][1].writerow(row)

    def close(self):
        for file, _ in self.files.values():
            file.close()


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, errors="replace").stdout


def main():
    folder = Path(sys.argv[1])
    packages = Shards(folder / "packages", ["package", "version", "section", "installed_kib", "download_bytes"])
    depends = Shards(folder / "depends", ["package", "needs"])
    seen = set()
    for record in records(output_of("apt-cache", "dumpavail")):
        name = record["Package"]
        if name in seen:
            continue
        seen.add(name)
        packages.add([name, record.get("Version", ""), record.get("Section", "unknown"),
                      int(record.get("Installed-Size", 0)), int(record.get("Size", 0))])
        for needed in needs(record.get("Depends", "")):
            depends.add([name, needed])
    packages.close()
    depends.close()
    (folder / "installed").mkdir()
    listing = output_of("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n")
    with open(folder / "installed" / "dpkg.jsonl", "w", encoding="utf-8") as out:
        for line in listing.splitlines():
            status, name, version = line.split(" ", 2)
            if status == "installed":
                out.write(json.dumps({"package": name, "version": version}) + "\n")
    print(len(seen))


if __name__ == "__main__":
    main()
