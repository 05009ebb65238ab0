"""Odd surroundings: closed and full streams, no home, few file descriptors, names that break lines. One line each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch

from glot_cli import weights
from glot_cli.cli.telling import tell_error
from glot_cli.errors import InputError, WeightsError
from glot_cli.pipeline import run as pipeline
from glot_cli.pipeline.models import load_models
from glot_cli.pipeline.presets import choose
from tests.cli.fixtures import STAGE, Glot, assert_fault, leftovers

PROGRAM = "from glot_cli.cli import main; main()"
posix = pytest.mark.skipif(os.name != "posix", reason="file descriptors and limits of POSIX")


def program(
    *arguments: object, before: Callable[[], None] | None = None, prelude: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """`glot` in a process of its own. before: what happens in it before Python starts."""
    return subprocess.run(
        [sys.executable, "-c", prelude + PROGRAM, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=before,
    )


def closing(*numbers: int) -> Callable[[], None]:
    return lambda: [os.close(number) for number in numbers] and None


def onto(path: str, number: int) -> Callable[[], None]:
    return lambda: os.dup2(os.open(path, os.O_WRONLY), number) and None


# ---------------------------------------------------------------------------------------------------------------------
# Streams


@posix
def test_closed_streams_change_nothing_else(nobody: Path, tmp_path: Path) -> None:
    """What is opened later must not take their numbers: the library that prints would write into a result."""
    ended = program("run", nobody, "--out", tmp_path, "--no-render", before=closing(0, 1, 2))
    assert ended.returncode == 0
    assert leftovers(tmp_path)[-2:] == ["nobody/params.npz", "nobody/run.json"]
    again = program("run", nobody, "--out", tmp_path, "--no-render", before=closing(2))
    assert again.returncode == 0 and "skipped" in again.stdout
    wrong = program("run", tmp_path / "gone.mp4", "--out", tmp_path, before=closing(1))
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1) and "no such file" in wrong.stderr
    assert program("run", tmp_path / "gone.mp4", "--out", tmp_path, before=closing(2)).returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_full_streams(tmp_path: Path) -> None:
    ended = program("weights", "list", before=onto("/dev/full", 1))
    assert ended.returncode == 1
    assert ended.stderr == "glot: standard output cannot be written (No space left on device)\n"
    assert program("run", tmp_path / "gone.mp4", "--out", tmp_path, before=onto("/dev/full", 2)).returncode == 1
    assert program("run", before=onto("/dev/full", 2)).returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_summary_that_cannot_be_written_stops_no_video(nobody: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(nobody.read_bytes())
    ended = program("run", nobody, other, "--out", tmp_path, "--no-render", "-q", before=onto("/dev/full", 1))
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1) and "standard output" in ended.stderr
    assert {"nobody/run.json", "other/run.json"} <= set(leftovers(tmp_path))


@posix
def test_a_reader_that_goes_away_is_one_line() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, "weights", "list"],
        stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "glot: standard output cannot be written (Broken pipe)\n")


@posix
def test_what_libraries_print_is_heard_only_with_debug() -> None:
    """libpng, libjpeg and drivers print from C, past everything that Python could redirect."""
    prelude = (
        "import glot_cli.cli, os, sys, warnings\n"
        "def noisy():\n    os.write(2, b'libpng error: bad\\n'); warnings.warn('odd'); raise ValueError('ours')\n"
        "sys.modules['glot_cli.cli.main']._check_current_folder = noisy\n"
    )
    quiet = program("doctor", prelude=prelude)
    assert quiet.stderr.count("\n") == 1 and quiet.stderr.startswith("glot: a fault in glot itself (ValueError: ours)")
    loud = program("doctor", "--debug", prelude=prelude).stderr
    assert "libpng error" in loud and "UserWarning" in loud and "Traceback" in loud


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_is_one_line(nobody: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Where there is no terminal: Click would make an empty line of it."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "run", str(nobody), "--out", str(tmp_path / "out"), "--no-render"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL) and None,  # shells have SIGINT ignored in jobs
    )
    assert process.stderr is not None
    with process.stderr as told:
        assert told.readline() == "glot: nobody.mp4 load\n"
        process.send_signal(number)
        rest = [line for line in told if not STAGE.match(line.rstrip())]
    assert (process.wait(60), rest) == (130, ["glot: interrupted; no file is left half written\n"])
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------------------------------------------------------
# Faults of glot itself, shortages


def test_a_fault_names_the_video_and_the_command_to_report(
    glot: Glot, nobody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("unheard\nof")

    monkeypatch.setattr(pipeline, "probe", fails)
    twin = tmp_path / "it's two.mp4"
    twin.write_bytes(nobody.read_bytes())
    ended = glot("run", nobody, twin, "--out", tmp_path / "out")
    assert ended.status == 1 and len(ended.err) == 2
    begin = "a fault in glot itself (ValueError: unheard of); please report it, with what this shows: glot run"
    assert ended.err[0] == f"glot: {nobody}: {begin} {nobody} --out {tmp_path}/out --debug"
    quoted = str(twin).replace("'", "'\"'\"'")
    assert ended.err[1] == f"glot: {twin}: {begin} '{quoted}' --out {tmp_path}/out --debug"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "glot: a.mp4: Cannot allocate memory; end other programs,"),
        (RuntimeError("CUDA out of memory. Tried to\nallocate"), "glot: a.mp4: Cannot allocate memory; end other"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "glot: a.mp4: Cannot allocate memory; end other"),
        (ImportError("libtorch_cpu.so: failed to map segment"), "glot: a.mp4: Cannot allocate memory; end other"),
        (ImportError("libGL.so.1:\nnone", name="cv2"), "glot: a.mp4: a library cannot be loaded (libGL.so.1: none);"),
        (ImportError("no x", name="glot_cli.x"), "glot: a.mp4: a fault in glot itself (ImportError: no x); please"),
        (OSError(24, "Too many"), "glot: a.mp4: Too many open files; allow more with 'ulimit -n'"),
        (OSError(28, "No space", "/tmp/x"), "glot: a.mp4: No space left on device; make room"),
        (InputError("not a video", path="a.mp4"), "glot: a.mp4: not a video"),
        (KeyError("x"), "glot: a.mp4: a fault in glot itself (KeyError: 'x'); please report it, with what this shows:"),
    ],
)
def test_shortages_are_no_faults_of_glot(error: Exception, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tell_error(error, ["run", "a.mp4"], Path("a.mp4")) == 1
    told = capsys.readouterr().err
    assert told.startswith(said) and told.count("\n") == 1


def test_where_no_file_can_be_opened_none_is_blamed(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        try:
            raise OSError(24, "Too many open files")
        except OSError as error:
            raise InputError("not a video that can be read", path="a.mp4") from error
    except InputError as error:
        tell_error(error, [])
    assert capsys.readouterr().err == "glot: Too many open files; allow more with 'ulimit -n'\n"


@posix
def test_eight_file_descriptors(nobody: Path, tmp_path: Path) -> None:
    import resource

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))

    ended = program("run", nobody, "--out", tmp_path, before=few)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("Too many open files; allow more with 'ulimit -n'")
    assert leftovers(tmp_path) == []


# ---------------------------------------------------------------------------------------------------------------------
# Names, folders, links


def test_a_variable_of_the_shell_that_nobody_set_is_not_the_current_folder(glot: Glot, nobody: Path) -> None:
    for arguments in (("run", nobody, "--out", ""), ("run", "", "--out", "x"), ("render", "", "-q")):
        assert_fault(glot(*arguments), 2, "names no file or folder, it is empty")


@posix
def test_names_are_told_where_the_terminal_knows_ascii_only(tmp_path: Path) -> None:
    ended = program("run", tmp_path / "ü.mp4", "--out", tmp_path / "out", PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1) and "/\\xfc.mp4: no such file" in ended.stderr


def test_a_fault_in_drawing_again_names_the_record(glot: Glot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("unheard of")

    monkeypatch.setattr("glot_cli.api.render", fails)
    ended = glot("render", tmp_path)
    assert_fault(ended, 1, f"glot: {tmp_path}: a fault in glot itself (ValueError: unheard of)")


def test_messages_stay_one_line_whatever_names_hold(glot: Glot, nobody: Path, tmp_path: Path) -> None:
    clip = tmp_path / "a\nb\x1b[31m\u2028\u202e.mp4"
    try:
        clip.write_bytes(nobody.read_bytes())
    except OSError:
        pytest.skip("this file system takes no such name")
    shown = f"{tmp_path}/a\\nb\\x1b[31m\\u2028\\u202e"
    assert_fault(glot("run", f"{clip}x", "--out", tmp_path), 1, f"{shown}.mp4x: no such file")
    ended = glot("run", clip, "--out", tmp_path / "out", "--no-render")
    assert (ended.status, len(ended.err), len(ended.out.splitlines())) == (0, 1, 1)
    assert ended.out.startswith(f"{shown}.mp4: 0 people") and f"{shown}.mp4: no person" in ended.err[0]
    assert all("\\n" in line for line in ended.stages) and ended.stages


def test_one_frame_is_no_frames(glot: Glot, nobody: Path, tmp_path: Path) -> None:
    ended = glot("run", nobody, "--out", tmp_path, "--no-render", "--end", 0.01)
    assert "no person found in 1 frame;" in ended.err[0] and ", 1 frame, " in ended.out
    assert any(line.endswith("detect and track, 1 frame") for line in ended.stages)


def test_other_options_of_a_finished_result_are_named(glot: Glot, nobody: Path, tmp_path: Path) -> None:
    run = ("run", nobody, "--out", tmp_path, "--no-render", "-q")
    assert glot(*run).status == 0
    said = glot(*run, "--end", 1, "--no-frames", "--detect-every", 2, "--batch-size", 3).out
    assert "finished before with other options (--detect-every, --end, --no-frames), skipped" in said


def test_links_that_go_round(glot: Glot, nobody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = tmp_path / "loop.mp4"
    loop.symlink_to(loop)
    for video in (loop, loop / "x.mp4"):
        assert_fault(glot("run", video, "--out", tmp_path / "out"), 1, video, "cannot be read (Too many levels")
    assert_fault(glot("run", nobody, "--out", loop, "--no-render"), 1, loop, "cannot be written (Too many levels")
    monkeypatch.setenv("GLOT_WEIGHTS", str(loop))
    assert_fault(glot("run", nobody, "--out", tmp_path / "out", "--no-render"), 1, loop, "GLOT_WEIGHTS")
    assert leftovers(tmp_path) == [] and not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--body", "--glot", "--detector"])
def test_the_home_of_nobody(glot: Glot, nobody: Path, tmp_path: Path, option: str) -> None:
    ended = glot("run", nobody, "--out", tmp_path, "--no-render", option, "~no-such-user/x.npz")
    assert ended.status in (1, 2)
    assert_fault(ended, ended.status, "~no-such-user/x.npz")


def test_a_current_folder_that_is_gone(tmp_path: Path) -> None:
    prelude = (
        f"import os; os.mkdir({str(tmp_path / 'x')!r}); os.chdir({str(tmp_path / 'x')!r}); os.rmdir(os.getcwd())\n"
    )
    ended = program("weights", "list", prelude=prelude)
    assert ended.stderr == "glot: the current folder cannot be used (No such file or directory); change to another\n"


@pytest.mark.parametrize("device", ["cpu:x", "cpu:0", "cuda:", "cuda:99999999999999999999", "meta", "", "cpu\n", "CPU"])
def test_devices_that_cannot_be(glot: Glot, nobody: Path, tmp_path: Path, device: str) -> None:
    assert_fault(glot("run", nobody, "--out", tmp_path / "out", "--device", device), 2, "--device: ")
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------------------------------------------------------
# Weights of the user's own


@pytest.mark.parametrize("name", ["person-detector", "blazepose-full", "blazepose-heavy", "glot-open", "open-neutral"])
@pytest.mark.parametrize("damage", ["cut", "noise", "folder", "empty"])
def test_damaged_weights_in_the_users_folder_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, damage: str
) -> None:
    shipped = weights.locate(name)
    own = tmp_path / shipped.name
    data = bytearray(shipped.read_bytes())
    half, noise = len(data) // 2, np.random.default_rng(0).integers(0, 256, len(data) // 4, dtype=np.uint8).tobytes()
    if damage == "folder":
        own.mkdir()
    elif damage == "noise":
        own.write_bytes(data[:half] + noise + data[half + len(noise) :])
    else:
        own.write_bytes(data[: 50_000 if damage == "cut" else 0])
    monkeypatch.setenv("GLOT_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        load_models(choose("open"), "cpu", None, False, True)
    assert caught.value.path == own and "\n" not in str(caught.value)


def test_sound_weights_in_the_users_folder_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = weights.locate("glot-open")
    monkeypatch.setenv("GLOT_WEIGHTS", str(tmp_path))
    tensors = {name: tensor + 0.001 for name, tensor in safetensors.torch.load_file(shipped).items()}
    safetensors.torch.save_file(tensors, tmp_path / shipped.name)
    assert weights.locate("glot-open") == tmp_path / shipped.name
