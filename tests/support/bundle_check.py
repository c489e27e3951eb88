"""Names that are private to a file must be private in its library, too.

With `-Dbundle=true` files of a library are compiled together, so a function in an unnamed namespace is seen by the files
after it: a better match among overloads, or a name that hides one further out, would change what they call, silently.
All files of a library in one are compiled without optimisation; the symbols say which names are shared.
"""

import collections
import json
import re
import shlex
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ANONYMOUS = re.compile(r"(thalweg(?:::\w+)*)::\(anonymous namespace\)::(\w+)(?:<.*?>)?\(.*\)")
OUTER = re.compile(r"(?:[\w:<>*& ,]+ )?(thalweg(?:::\w+)*)::(\w+)(?:\[abi:\w+\])?(?:<.*>)?\(")


def libraries(build):
    """(name, folder, command, files) of each library that is compiled in groups."""
    groups = collections.defaultdict(list)
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = Path(entry["directory"], entry["file"])
        if "-unity" in path.name:
            groups[path.parent].append(entry)
    for folder, entries in sorted(groups.items()):
        files = []
        for entry in entries:
            path = Path(entry["directory"], entry["file"])
            files += [Path(path.parent, name).resolve() for name in re.findall(r'#include ?"?<?([^">]+)', path.read_text())]
        words = shlex.split(entries[0]["command"])
        words = words[1:] if words[0].endswith("ccache") else words
        yield folder.name, Path(entries[0]["directory"]), words, files


def symbols(folder, words, files):
    """Names as `nm -C` has them, or what the compiler says instead."""
    with tempfile.TemporaryDirectory() as work:
        whole, target = Path(work, "whole.cc"), Path(work, "whole.o")
        whole.write_text("".join(f'#include "{file}"\n' for file in files))
        flags = [word for word in words[:words.index("-MD")] if not re.match(r"-O\d|-g\d|-Werror$", word)]
        done = subprocess.run([*flags, "-O0", "-g0", "-w", "-c", str(whole), "-o", str(target)], cwd=folder, text=True,
                              capture_output=True)
        if done.returncode:
            return None, done.stderr
        return subprocess.run(["nm", "-C", str(target)], text=True, capture_output=True).stdout.splitlines(), ""


def shared_names(library):
    """A line for every name that more than one file of the library has for itself, or that hides another."""
    name, folder, words, files = library
    lines, wrong = symbols(folder, words, files)
    if lines is None:
        return [f"{name}: {line}" for line in wrong.splitlines() if " error: " in line]
    private, outer = collections.defaultdict(set), set()
    for line in lines:
        symbol = line[19:]
        if "lambda" in symbol:
            continue
        if found := ANONYMOUS.search(symbol):
            private[found[1], found[2]].add(symbol)
        elif found := OUTER.match(symbol):
            outer.add((found[1], found[2]))
    texts = {file: file.read_text() for file in files}
    found = []
    for (namespace, function), signatures in sorted(private.items()):
        owners = [file.name for file, text in texts.items() if f"namespace {namespace} {{" in text
                  and re.search(rf"^(?!return)[\w:].*[ &*]{function}\(", text, re.M)]
        parts = namespace.split("::")
        hidden = [space for space in ("::".join(parts[:i]) for i in range(1, len(parts)))
                  if (space, function) in outer]
        if len(signatures) > 1 and len(owners) > 1:
            found.append(f"{name}: `{function}` in {', '.join(owners)}: give it another name in all but one")
        elif hidden or (len(owners) > 1 and (namespace, function) in outer):
            found.append(f"{name}: `{function}` in {', '.join(owners)} hides another function: give it another name")
    return found


def check_bundles(build):
    """What is wrong, as text; "" if nothing is."""
    with ThreadPoolExecutor(2) as pool:
        return "\n".join(line for lines in pool.map(shared_names, libraries(build)) for line in lines)
