"""Which disks are those of this machine, where a lock of a folder holds for everybody."""

from pathlib import Path

import pytest

from glot_cli.files import locks
from glot_cli.files.locks import LOCK, FolderBusyError, locked


@pytest.mark.parametrize(("kind", "by_file"), [("ext4", False), ("nfs4", True), ("lustre", True), ("fuse.sshfs", True)])
def test_folders_that_machines_share_are_locked_by_a_file(
    kind: str, by_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a disk"
    (folder / "result").mkdir(parents=True)
    mounts = tmp_path / "mountinfo"
    point = str(folder).replace(" ", "\\040")
    mounts.write_text(
        f"22 1 0:21 / / rw - ext4 /dev/x rw\n23 22 0:40 / {point} rw,relatime shared:1 - {kind} there:/x rw\n"
    )
    monkeypatch.setattr(locks, "_MOUNTS", mounts)
    with locked(folder / "result"):
        assert (folder / "result" / LOCK).exists() == by_file
        with pytest.raises(FolderBusyError), locked(folder / "result"):
            pass
    assert not (folder / "result" / LOCK).exists()
    (tmp_path / "here").mkdir()
    with locked(tmp_path / "here"):
        assert not (tmp_path / "here" / LOCK).exists()
