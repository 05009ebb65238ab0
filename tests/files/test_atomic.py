"""Files are whole or not there; what is kept aside is told by its name, and found once its process is dead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from glot_cli.files import atomic
from glot_cli.files.atomic import abandoned, aside_name, whole


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with whole(path) as aside:
        assert aside == aside_name(path) and aside.parent == tmp_path
        aside.write_text("all")
        assert not path.exists()
    assert path.read_text() == "all"
    with pytest.raises(KeyboardInterrupt), whole(path) as aside:
        aside.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "all" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere nothing is asked for")
def test_what_the_dead_left_aside_is_found(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from glot_cli.files.atomic import aside_name\n"
        "for name in ('a.mp4', 'b.c'): aside_name(pathlib.Path(sys.argv[1], name)).touch()\n"
        "aside_name(pathlib.Path(sys.argv[1], 'd'), 'old').mkdir()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    aside_name(tmp_path / "a.mp4").touch()  # of this process, which lives
    (tmp_path / ".notes.part").touch()
    (tmp_path / ".x.glot-99999999999999999999.part").touch()  # no process ever had that number
    assert sorted(name for _, name in abandoned(tmp_path)) == ["a.mp4", "b.c"]
    assert [name for path, name in abandoned(tmp_path, "old") if path.is_dir()] == ["d"]
    assert len(list(abandoned(tmp_path, "part", "old"))) == 3


@pytest.mark.skipif(os.name != "posix", reason="elsewhere nothing is asked for")
def test_what_another_machine_keeps_aside_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that both share, its number of a living process may be that of no process here."""
    code = "import sys, pathlib, glot_cli.files.atomic as a; a.aside_name(pathlib.Path(sys.argv[1])).touch()"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.mp4")], check=True)
    (tmp_path / ".b.mp4.glot-99999999.part").touch()  # of nobody knows where
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "_machine", lambda: "0badcafe")
        assert list(abandoned(tmp_path)) == []
        aside_name(tmp_path / "c.mp4").touch()
    assert [name for _, name in abandoned(tmp_path)] == ["a.mp4"]
