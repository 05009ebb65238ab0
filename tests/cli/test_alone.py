"""A run in a process of its own, on a machine that gives it nothing: no network, no home folder, no terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from glot_cli import load_result

# Stands in front of the command line: whatever asks for a connection, a name or another program's installer fails.
LONELY = """
import socket, subprocess, sys

def refuse(*_, **__):
    sys.stderr.write("REACHED OUT\\n")
    raise OSError("the network is off")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
socket.gethostbyname = refuse
start = subprocess.Popen.__init__

def no_installer(self, args, *rest, **named):
    if "pip" in str(args) or "uv" in str(args).split():
        refuse()
    start(self, args, *rest, **named)

subprocess.Popen.__init__ = no_installer
from glot_cli.cli import main
main()
"""


def lonely(folder: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `glot` in `folder` behind LONELY; no CUDA device is to be seen."""
    return subprocess.run(
        [sys.executable, "-c", LONELY, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_whole_run_without_network_and_without_a_home(drawable: str, person: Path, tmp_path: Path) -> None:
    """Ultralytics and others keep settings below the home folder; here there is none and none can be made."""
    nowhere = "/proc/no-home" if Path("/proc").is_dir() else str(person / "no-home")
    places = {"HOME": nowhere, "XDG_CONFIG_HOME": nowhere, "XDG_CACHE_HOME": nowhere, "YOLO_CONFIG_DIR": nowhere}
    ended = lonely(tmp_path, "run", person, "--out", "result", "--detect-every", 10, **places)
    assert ended.returncode == 0
    told = [line.removeprefix("glot: person.mp4 ") for line in ended.stderr.splitlines()]  # of stages, and no more
    assert told == [
        "load", "try drawing", "detect and track, 12 frames", "features, 12 frames", "lift", "save", "draw, 12 frames"
    ]  # fmt: skip
    assert ended.stdout.startswith(f"{person}: 1 person, 12 frames") and ended.stdout.count("\n") == 1
    assert load_result(tmp_path / "result/person").people == [1]
    assert (tmp_path / "result/person/overlay.mp4").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["result"]  # and nothing strewn about


def test_version_and_help_load_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom glot_cli.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'cv2', 'av', 'ultralytics', 'pyrender', 'scipy') if name in sys.modules])"
    )
    for arguments in (["--version"], ["--help"], ["run", "--help"], ["render", "--help"], ["weights", "list"]):
        ended = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=True,
        )
        assert ended.stdout.splitlines()[-1] == "[]", arguments
