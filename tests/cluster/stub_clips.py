"""Stands in for the process that runs clips: no network, and whatever the name of a clip tells it to do."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from glot_cli.files.apart import pipes_to_parent, receive, send

STUB = "from tests.cluster.stub_clips import main; main()"
REFUSING = "from tests.cluster.stub_clips import refuse; refuse()"
LOADING = "GLOT_TEST_LOADING"  # of the environment: seconds until it is ready
NOTES = "GLOT_TEST_NOTES"  # of the environment: a file that gets a line for each clip that is done


def main() -> None:
    orders, answers = pipes_to_parent()
    receive(orders)
    time.sleep(float(os.environ.get(LOADING, "0")))
    send(answers, {})
    tried: set[str] = set()
    while True:
        try:
            job, _ = receive(orders)
        except EOFError:
            return
        name = Path(job["video"]).name
        if job["known"]:
            send(answers, {"state": "skipped"})
            continue
        if "crash" in name:
            os.abort()
        if "kill" in name:
            os.kill(os.getpid(), signal.SIGKILL)
        if "busy" in name and name not in tried:
            tried.add(name)
            send(answers, {"state": "busy", "error": "another glot is writing here"})
            continue
        if "hangs" in name:
            time.sleep(60)
        if "slow" in name:
            time.sleep(0.5)
        if "bad" in name:
            send(answers, {"state": "failed", "error": "is no video", "seconds": 0.1})
            continue
        if notes := os.environ.get(NOTES):
            with open(notes, "a", encoding="utf-8") as file:
                file.write(f"{name}\n")
        told = {
            "people": 2,
            "frames": 30,
            "seconds": 1.5,
            "stages": {"lift": 1.0},
            "warnings": ["a note"],
            "error": None,
        }
        send(answers, {"state": "done", **told})


def refuse() -> None:
    """Stands in for a machine on which weights are missing."""
    orders, answers = pipes_to_parent()
    receive(orders)
    send(answers, {"fault": "missing.pt: no such file"})
