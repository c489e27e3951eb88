"""Builds the tree and runs every suite; the work behind `tests/run`.

A suite is one of
  - a Catch2 program of the build (build/tests/*/*_tests): one case per TEST_CASE;
  - `thalweg test PATH` over pipelines and *.test.yaml files: one case per test in them;
  - an executable in tests/integration/: it prints `N passed, M failed` as its last line.
A suite that crashes, hangs or prints no result counts as one failed case beside those it reported.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from style_check import check_style

ROOT = Path(__file__).resolve().parents[2]
RESULT_LINE = re.compile(r"^(\d+) passed, (\d+) failed$")
PIPELINE_SUITES = ["config/examples", "config/templates", "tests/pipelines"]  # folders given to `thalweg test`
SANITIZED = ["tests/engine/engine_tests", "tests/pipeline_lang/lang_tests"]


class Outcome:
    def __init__(self, name, passed, failed, seconds, detail=""):
        self.name, self.passed, self.failed, self.seconds, self.detail = name, passed, failed, seconds, detail


def run(command, seconds_max, env=None):
    """Output and exit code; a command that hangs is ended with its children."""
    process = subprocess.Popen(command, cwd=ROOT, env=env, text=True, errors="replace", stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=seconds_max)
        return output, process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return output + f"\nended after {seconds_max} s\n", -1


def catch_failures(report):
    """Readable text of the failed cases of a Catch2 XML report."""
    lines = []
    for case in report.iter("TestCase"):
        result = case.find("OverallResult")
        if result is not None and result.get("success") == "true":
            continue
        lines.append(f"FAILED: {case.get('name')}")
        for found in case.iter():
            if found.tag == "Expression" and found.get("success") != "true":
                original, expanded = found.findtext("Original", "").strip(), found.findtext("Expanded", "").strip()
                lines.append(f"  {found.get('filename')}:{found.get('line')}: {original}\n    with {expanded}")
            elif found.tag in ("Failure", "Exception", "FatalErrorCondition", "Info") and found.text:
                lines.append(f"  {found.text.strip()}")
    return "\n".join(lines)


def run_catch(program, arguments, seconds_max, env):
    started = time.monotonic()
    with tempfile.NamedTemporaryFile(suffix=".xml") as report_file:
        output, code = run([program, "-r", "xml", "-o", report_file.name, *arguments], seconds_max, env)
        text = Path(report_file.name).read_text(errors="replace")
    seconds = time.monotonic() - started
    name = Path(program).name
    try:
        report = ElementTree.fromstring(text)
        totals = report.find("OverallResultsCases")
        passed = int(totals.get("successes")) + int(totals.get("expectedFailures"))
        failed = int(totals.get("failures"))
    except (ElementTree.ParseError, AttributeError):
        passed, failed = text.count('<OverallResult success="true"'), 1
        begun = re.findall(r'<TestCase name="([^"]*)"', text)
        return Outcome(name, passed, failed, seconds,
                       f"{name} ended with code {code} in case '{begun[-1] if begun else '?'}'\n{output[-20000:]}")
    if code != 0 and failed == 0:
        failed, output = 1, output + f"\nexit code {code}"
    detail = (catch_failures(report) + "\n" + output).strip() if failed else ""
    return Outcome(name, passed, failed, seconds, detail)


def run_counted(name, command, seconds_max, env):
    """A command that ends with a result line of its own."""
    started = time.monotonic()
    output, code = run(command, seconds_max, env)
    seconds = time.monotonic() - started
    for line in reversed(output.splitlines()):
        match = RESULT_LINE.match(line.strip())
        if match:
            passed, failed = int(match[1]), int(match[2])
            break
    else:
        passed, failed = 0, 1
    if code != 0 and failed == 0:
        failed = 1
    return Outcome(name, passed, failed, seconds, output if failed else "")


def check_build(directory, options, targets, jobs):
    build = ROOT / directory
    if not (build / "build.ninja").exists():
        subprocess.run(["meson", "setup", str(build), *options], cwd=ROOT, check=True)
    subprocess.run(["ninja", "-C", str(build), *(["-j", str(jobs)] if jobs else []), *targets], cwd=ROOT, check=True)
    return build


def fuzz(seconds, jobs):
    """Builds the fuzz targets with clang-19 and runs each for a while, from the seeds in tests/fuzz/seeds."""
    subprocess.run([str(ROOT / "packaging" / "install"), "--fuzz"], check=True)
    env = dict(os.environ, CXX="clang++-19", CXXFLAGS="-fsanitize=fuzzer-no-link,address,undefined")
    build = ROOT / "build-fuzz"
    if not (build / "build.ninja").exists():
        subprocess.run(["meson", "setup", str(build), "-Dfuzz=true", "-Db_lundef=false", "-Doptimization=1"],
                       cwd=ROOT, env=env, check=True)
    names = sorted(p.stem for p in (ROOT / "tests" / "fuzz").glob("*_fuzz.cc"))
    subprocess.run(["ninja", "-C", str(build), *(["-j", str(jobs)] if jobs else []),
                    *(f"tests/fuzz/{name}" for name in names)], check=True)
    for name in names:
        corpus, seeds = build / "corpus" / name, ROOT / "tests" / "fuzz" / "seeds" / name
        corpus.mkdir(parents=True, exist_ok=True)
        folders = [str(corpus)] + ([str(seeds)] if seeds.exists() else [])
        started = time.monotonic()
        output, code = run([str(build / "tests" / "fuzz" / name), f"-max_total_time={seconds}", "-timeout=10",
                            "-rss_limit_mb=4096", f"-artifact_prefix={build}/", *folders], seconds + 120)
        yield Outcome(f"fuzz {name}", int(code == 0), int(code != 0), time.monotonic() - started,
                      output[-8000:] if code else "")


def plan_lane(options):
    """Build directory, meson options and targets of the chosen lane."""
    meson = ["-Dwerror=true"] if options.warnings_as_errors else []
    meson.append("-Dbundle=true")
    if options.sanitize == "address":
        return "build-address", ["-Db_sanitize=address,undefined", "-Doptimization=1", *meson]
    if options.sanitize == "thread":
        return "build-thread", ["-Db_sanitize=thread", "-Doptimization=1", *meson]
    return ("build-ci" if options.warnings_as_errors else "build"), meson


def finish(outcomes, started):
    passed, failed = sum(o.passed for o in outcomes), sum(o.failed for o in outcomes)
    if not outcomes:
        print("no suite was run")
        failed = 1
    print(f"in {time.monotonic() - started:.0f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(prog="tests/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sanitize", choices=["address", "thread"],
                        help="build with ASan and UBSan, or with TSan; only the engine and language tests")
    parser.add_argument("--only", metavar="TEXT", help="only suites whose name contains TEXT")
    parser.add_argument("--cases", type=int, help="cases of each property test (default: some thousands in all)")
    parser.add_argument("--seed", type=int, help="seed of the property tests (printed by each)")
    parser.add_argument("--fuzz", type=int, metavar="SECONDS",
                        help="only this: run every fuzz target for so long (needs clang-19, installed if missing)")
    parser.add_argument("--timeout", type=int, default=900, help="seconds for one suite")
    parser.add_argument("--jobs", type=int, help="compiler processes")
    parser.add_argument("--warnings-as-errors", action="store_true")
    parser.add_argument("--style", action="store_true",
                        help="also clang-format over all files and clang-tidy over the changed ones")
    parser.add_argument("--since", metavar="REVISION", help="changed since when, for --style (default: origin/main)")
    parser.add_argument("--tidy-max", type=int, default=30, metavar="FILES", help="at most so many, for --style")
    options = parser.parse_args()

    directory, meson_options = plan_lane(options)
    env = dict(os.environ)
    env.setdefault("ASAN_OPTIONS", "detect_stack_use_after_return=0")
    env.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
    env.setdefault("TSAN_OPTIONS", "halt_on_error=1")
    if options.cases is not None:
        env["THALWEG_PROPERTY_CASES"] = str(options.cases)
    if options.seed is not None:
        env["THALWEG_PROPERTY_SEED"] = str(options.seed)

    started = time.monotonic()
    targets = SANITIZED if options.sanitize else []
    outcomes = []
    try:
        if options.fuzz:
            for outcome in fuzz(options.fuzz, options.jobs):
                outcomes.append(outcome)
                print(f"{outcome.name}: {outcome.passed} passed, {outcome.failed} failed\n{outcome.detail}", flush=True)
            return finish(outcomes, started)
        if options.style:
            subprocess.run([str(ROOT / "packaging" / "install"), "--style"], check=True)
        build = check_build(directory, meson_options, targets, options.jobs)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        print(f"the build failed: {error}")
        print("0 passed, 1 failed")
        return 1
    print(f"built in {time.monotonic() - started:.0f} s", flush=True)
    env["THALWEG"] = str(build / "daemon" / "thalweg")

    def report(outcome):
        outcomes.append(outcome)
        state = "ok  " if outcome.failed == 0 else "FAIL"
        print(f"{state} {outcome.name}: {outcome.passed} passed, {outcome.failed} failed ({outcome.seconds:.1f} s)",
              flush=True)
        if outcome.detail:
            print(outcome.detail, flush=True)

    def wanted(name):
        return options.only is None or options.only in name

    if options.style and wanted("style"):
        begun = time.monotonic()
        passed, failed, detail = check_style(build, options.since, options.tidy_max)
        report(Outcome("style", passed, failed, time.monotonic() - begun, detail))
    programs = targets or sorted(str(p.relative_to(build)) for p in (build / "tests").glob("*/*_tests"))
    for program in programs:
        if wanted(Path(program).name):
            report(run_catch(str(build / program), [], options.timeout, env))
    if not options.sanitize:
        for folder in PIPELINE_SUITES:
            if wanted(folder) and any((ROOT / folder).rglob("*.yaml")):
                report(run_counted(folder, [env["THALWEG"], "test", folder], options.timeout, env))
        if wanted("tests/pipelines with restarts"):
            report(run_counted("tests/pipelines with restarts", [env["THALWEG"], "test", "--restarts", "tests/pipelines"],
                               options.timeout, env))
        for script in sorted((ROOT / "tests" / "integration").glob("*")):
            if script.is_file() and os.access(script, os.X_OK) and wanted(script.name):
                report(run_counted(f"tests/integration/{script.name}", [str(script)], options.timeout, env))

    return finish(outcomes, started)


if __name__ == "__main__":
    sys.exit(main())
