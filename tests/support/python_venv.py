"""A virtual environment with packages of others for a test, made once and kept beside the build."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def python_with(name, packages):
    """The interpreter of `build/venv/NAME` with these packages; THALWEG_VENV_NAME names another interpreter."""
    given = os.environ.get(f"THALWEG_VENV_{name.upper()}")
    if given:
        return given
    folder = ROOT / "build" / "venv" / name
    python = folder / "bin" / "python"
    stamp = folder / "packages"
    wanted = "\n".join(packages)
    if not (stamp.exists() and stamp.read_text() == wanted):
        print(f"making {folder} with {', '.join(packages)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True, timeout=1200)
        stamp.write_text(wanted)
    return str(python)


def run_python(python, script, *arguments, seconds=120):
    """What the script prints; an AssertionError with its trace if it fails."""
    done = subprocess.run([python, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=seconds,
                          env={**os.environ, "PATHWAY_TELEMETRY_SERVER": "", "ANONYMIZED_TELEMETRY": "false"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
