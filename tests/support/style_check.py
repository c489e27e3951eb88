"""The style of the C++ files: all of them as clang-format has them, the changed ones without a word from clang-tidy.

Both come from LLVM 19, because Debian's default clang refuses -std=c++23; `packaging/install --style` installs them.
"""

import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bundle_check import check_bundles

ROOT = Path(__file__).resolve().parents[2]


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, text=True, capture_output=True)
    return done.stdout.split() if done.returncode == 0 else []


def sources():
    """Every C++ file of the tree, tracked or about to be."""
    return sorted(git("ls-files", "--cached", "--others", "--exclude-standard", "*.cc", "*.h"))


def changed_since(revision):
    """Sources of the product that differ from `revision`, by default from where this branch left the published main,
    else from the commit before; the working tree counts. Tests are left out: Catch2's macros are not tidy."""
    base = [revision] if revision else git("merge-base", "HEAD", "origin/main")
    if not base or base == git("rev-parse", "HEAD"):
        base = git("rev-parse", "HEAD~1")
    if not base:
        return []
    names = git("diff", "--name-only", "--diff-filter=d", base[0], "--", "*.cc")
    return [name for name in names if (ROOT / name).exists() and not name.startswith("tests/")]


def unformatted():
    """(file, what clang-format says) for each file that it would change."""
    def check(name):
        done = subprocess.run(["clang-format-19", "--dry-run", "-Werror", name], cwd=ROOT, text=True,
                              capture_output=True)
        return name, done.stderr if done.returncode else ""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [(name, text) for name, text in pool.map(check, sources()) if text]


def commands_by_file(build):
    """A folder with compile commands of single files: a build may compile several at once, in a file of its own that
    includes them."""
    commands = []
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = Path(entry["directory"], entry["file"])
        inside = re.findall(r'#include ?"?<?([^">]+)', path.read_text()) if "-unity" in path.name else []
        commands += [dict(entry, file=str(Path(path.parent, one).resolve()),
                          command=entry["command"].replace(entry["file"], str(Path(path.parent, one).resolve())))
                     for one in inside] or [entry]
    folder = build / "by_file"
    folder.mkdir(exist_ok=True)
    (folder / "compile_commands.json").write_text(json.dumps(commands))
    return folder


def tidied(build, names):
    """(file, warnings) of clang-tidy for each of `names`; "" where it has none."""
    commands = commands_by_file(build)

    def check(name):
        # The build's flags are GCC's; clang knows not all of them.
        command = ["clang-tidy-19", "--quiet", "--extra-arg=-Wno-unknown-warning-option", "-p", str(commands), name]
        done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
        text = done.stdout.strip()
        return name, text if text or done.returncode == 0 else done.stderr.strip()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(check, names))


def check_style(build, since, files_max):
    """(passed, failed, text) of three cases: the format of all files, the tidiness of the changed ones, and names that
    files compiled together would share (bundle_check.py). Of more than `files_max` changed files only so many are tidied,
    and the text says so: ten seconds a file adds up."""
    wrong = unformatted()
    changed = changed_since(since)
    if len(changed) > files_max:
        print(f"clang-tidy: {files_max} of {len(changed)} changed files (--tidy-max)", flush=True)
    untidy = [text for _, text in tidied(build, changed[:files_max]) if text]
    lines = [f"{text}\nclang-format-19 -i {name}" for name, text in wrong] + untidy
    if shared := check_bundles(build):
        lines.append(shared)
    failed = bool(wrong) + bool(untidy) + bool(shared)
    return 3 - failed, failed, "\n".join(lines)
