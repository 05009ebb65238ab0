"""How the drawing process starts, fails and ends: nothing of it is left, whatever kills the program."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from glot_cli.errors import RenderError
from glot_cli.files import atomic
from glot_cli.rendering import Renderer, channel, client, drawing_process, probe_backend

ROOT = Path(__file__).parents[2]
FACES = np.array([[0, 1, 2], [0, 2, 1]])
TRIANGLE = np.array([[[0, 0, 3], [0, 1, 3], [1, 0, 3]]], dtype=np.float32)
BLACK = np.zeros((96, 64), np.uint8)


def test_no_backend_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[channel.SharedPictures] = []

    def shared(shape: tuple[int, ...]) -> channel.SharedPictures:
        made.append(channel.SharedPictures(shape))
        return made[-1]

    monkeypatch.setattr(client, "SharedPictures", shared)
    monkeypatch.setattr(client, "backends", lambda: ("egl", "osmesa"))
    missing = "import os; os.environ['PYOPENGL_PLATFORM'] += '-missing'; "
    monkeypatch.setattr(drawing_process, "_PROGRAM", missing + drawing_process._PROGRAM)
    with pytest.raises(RenderError) as caught:
        probe_backend()
    message = str(caught.value)
    assert "egl:" in message and "osmesa:" in message and "apt-get install" in message
    assert caught.value.remedy in message and "--" not in message and "\n" not in message
    assert len(made) == 1
    with pytest.raises(OSError):  # nobody can ask for the pictures any more
        os.fstat(int(made[0].key))


def test_a_worker_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing_process, "_PROGRAM", "import time; time.sleep(60)")
    began = time.monotonic()
    with pytest.raises(RenderError, match=r"no answer within 0\.5 s"):
        Renderer(FACES, 64, 64, 64.0, backend="egl", timeout=0.5)
    assert time.monotonic() - began < 10


def test_death_of_the_worker_is_a_clear_error(drawable: str) -> None:
    with Renderer(FACES, 64, 64, 64.0, backend=drawable) as renderer:
        renderer.draw(BLACK, TRIANGLE, np.array([0]))
        renderer._worker._process.kill()
        with pytest.raises(RenderError, match=r"^the drawing process is gone \(.*SIGKILL.*\); draw again$"):
            for _ in range(3):
                renderer.draw(BLACK, TRIANGLE, np.array([0]))


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("people", [1, 400], ids=["small order", "order that fills the pipe"])
def test_a_worker_that_is_stopped_is_given_up(drawable: str, people: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing_process, "ANSWER_TIMEOUT", 1.0)
    began = time.monotonic()
    with Renderer(FACES, 64, 64, 64.0, backend=drawable) as renderer:
        renderer.draw(BLACK, TRIANGLE, np.array([0]))
        time.sleep(1.5)  # while nothing is asked for, no time passes
        renderer.draw(BLACK, TRIANGLE, np.array([0]))
        renderer._worker._process.send_signal(signal.SIGSTOP)
        with pytest.raises(RenderError, match=r"^the drawing process is gone \(no answer within 1 s\); draw again$"):
            renderer.draw(BLACK, np.repeat(np.repeat(TRIANGLE, people, axis=0), 10, axis=1), np.zeros(people))
    assert time.monotonic() - began < 20


def test_no_space_to_draw_in_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "claim", full)
    with pytest.raises(RenderError, match="no space to draw in; free some") as caught:
        Renderer(FACES, 64, 64, 64.0)
    assert caught.value.path == Path(tempfile.gettempdir())


@pytest.mark.parametrize("memory", [True, False], ids=["memory", "disk"])
def test_shared_pictures_have_no_name_and_are_shared(
    memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if not memory:  # as on macOS, and on a Linux that is too old or too full
        monkeypatch.delattr(os, "memfd_create", raising=False)
    one = channel.SharedPictures((2, 3, 4, 3))
    other = channel.map_pictures(one.key, (2, 3, 4, 3))
    one.forget()
    one.forget()
    assert list(tmp_path.iterdir()) == []
    assert one.pictures.shape == other.shape == (2, 3, 4, 3) and not other.any()
    one.pictures[1, 2] = 7
    assert (other[1, 2] == 7).all() and not other[0].any()


PARENT = """
import signal, sys, numpy as np
from glot_cli.rendering import Renderer, drawing_process

start = drawing_process.DrawingProcess.start

def told(self, *rest):
    print(self._process.pid, flush=True)
    return start(self, *rest)

drawing_process.DrawingProcess.start = told
if sys.argv[2] == "hung":
    drawing_process._PROGRAM = drawing_process._PROGRAM.replace(
        "import main;", "import main; import time; main.__globals__['_prepare'] = lambda *_: time.sleep(600);"
    )
signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells have ignored in what they start aside
with Renderer(np.array([[0, 1, 2]]), 64, 64, 64.0, backend=sys.argv[1]) as renderer:
    print("draws", flush=True)
    triangle = np.array([[[0, 0, 3], [0, 1, 3], [1, 0, 3]]], dtype=np.float32)
    while True:
        renderer.draw(np.zeros((96, 64), np.uint8), triangle, [0])
"""


def is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    # In a container nobody may reap an orphan: a zombie is as good as gone.
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def temporary_files(process: int, *folders: str) -> set[str]:
    """Files in these folders that a process has open or mapped, and that would stay there if it were killed."""
    found = {line.split(maxsplit=5)[-1] for line in Path(f"/proc/{process}/maps").read_text().splitlines()}
    for entry in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            found.add(os.readlink(entry))
    return {path for path in found if path.startswith(folders) and os.path.exists(path)}


@pytest.mark.skipif(os.name != "posix", reason="signals and process groups")
@pytest.mark.parametrize(
    ("moment", "blow"),
    [
        ("starts", signal.SIGKILL),
        ("hung", signal.SIGKILL),
        ("draws", signal.SIGKILL),
        ("draws", signal.SIGINT),
    ],
)
def test_the_worker_ends_with_its_parent(drawable: str, tmp_path: Path, moment: str, blow: signal.Signals) -> None:
    """Ctrl-C reaches both processes at once; a killed parent can say nothing. Neither leaves a process or a file."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, drawable, moment],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert parent.stdout is not None and parent.stderr is not None
    worker = int(parent.stdout.readline())
    if moment == "draws":
        assert parent.stdout.readline() == b"draws\n"
    time.sleep({"starts": 0.0, "hung": 1.0, "draws": 0.3}[moment])
    if sys.platform == "linux":
        assert temporary_files(parent.pid, "/dev/shm/", str(tmp_path)) == set()
        assert temporary_files(worker, "/dev/shm/", str(tmp_path)) == set()
    if blow == signal.SIGINT:
        os.killpg(parent.pid, blow)
        assert b"KeyboardInterrupt" in parent.stderr.read()
    else:
        parent.kill()
    parent.wait(10)
    end = time.monotonic() + 10
    while not is_gone(worker):
        assert time.monotonic() < end, "the drawing process outlived its parent"
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []
    parent.stdout.close()
    parent.stderr.close()


def test_triton_may_be_imported_before_and_after_drawing(drawable: str) -> None:
    """Two LLVMs in one process would end it with a segmentation fault: drawing must be elsewhere."""
    pytest.importorskip("triton")
    program = """
import sys, numpy as np
from glot_cli.rendering import Renderer
triangle = np.array([[[0, 0, 3], [0, 1, 3], [1, 0, 3]]], dtype=np.float32)
def draw():
    with Renderer(np.array([[0, 2, 1], [0, 1, 2]]), 64, 64, 64.0, backend=sys.argv[1]) as renderer:
        return renderer.draw(np.zeros((96, 64), np.uint8), triangle, [0])
first = draw()
assert "triton" not in sys.modules and "OpenGL" not in sys.modules and "torch" not in sys.modules
import triton._C.libtriton
assert first.any() and (draw() == first).all()
"""
    done = subprocess.run([sys.executable, "-c", program, drawable], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_drawing_process_never_loads_torch(drawable: str) -> None:
    program = (
        "import sys, glot_cli.rendering.worker, glot_cli.rendering.overlay\n"
        "print({'torch', 'triton'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYOPENGL_PLATFORM": drawable}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "set()", done.stderr
