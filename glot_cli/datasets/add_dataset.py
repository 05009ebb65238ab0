"""`glot data add`: an official file read without trust, checked, converted and kept in the user's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from glot_cli.datasets.convert import Conversion
from glot_cli.datasets.folders import FORMAT, Meta, name_of, user_data_folder, write_meta
from glot_cli.datasets.write_dataset import check_room, new_folder, write_columns
from glot_cli.errors import GlotError, UsageError
from glot_cli.files.pickles import Damaged, Refused
from glot_cli.files.sources import open_source
from glot_cli.progress import Progress


@dataclass(frozen=True)
class Added:
    """A data set that was taken in: what it is, where it lies, and what is worth telling of it ("" if nothing is)."""

    meta: Meta
    folder: Path
    remark: str


def add(path: Path, name: str | None = None, replace: bool = False, quiet: bool = False) -> Added:
    """Take in a file of joblib (*_db.pt) or an HDF5 file (*_db.h5) as the data set `name`, by default the file's.

    Raises GlotError, with the file's name in front, when it is missing, damaged, refused or no data set, when there is
    one of that name that may not be replaced, or the disk is full. Nothing is kept then.
    """
    name = name_of(path) if name is None else name
    progress = Progress(name, quiet)
    with new_folder(name, replace) as folder:
        try:
            with open_source(path, folder) as arrays:
                conversion = Conversion(arrays)
                check_room(folder, conversion.columns, conversion.frames)
                with progress.stage("frames", conversion.frames) as bar:
                    write_columns(folder, conversion.columns, conversion.frames, conversion.parts(), bar)
        except UsageError:
            raise
        except GlotError as error:
            raise _named(path, error) from error
        meta = Meta(
            format=FORMAT,
            name=name,
            source=path.name,
            source_size=path.stat().st_size,
            frames=conversion.frames,
            feature_dim=conversion.feature_dim,
            videos=conversion.videos,
            joints2d=conversion.joints2d,
            joints3d=conversion.joints3d,
            has_joints3d="joints3d" in conversion.columns,
            has_smpl="pose" in conversion.columns,
            invalid=conversion.invalid,
        )
        write_meta(folder, meta)
    return Added(meta, user_data_folder() / name, _remark(conversion))


def _remark(conversion: Conversion) -> str:
    if not conversion.invalid:
        return ""
    count = f"{conversion.invalid:,} frame{'s' * (conversion.invalid != 1)}"
    first = f"first row {conversion.first_invalid:,}"
    return f"{count} without a box or with values that are no numbers marked invalid ({first})"


def _named(path: Path, error: GlotError) -> GlotError:
    """The error with the file in front and a remedy behind."""
    if isinstance(error, Refused):
        return Refused(f"{path}: {error}; nothing in it was run. No official file does that: take another copy")
    if isinstance(error, Damaged):
        return Damaged(f"{path}: {error}; download it again")
    return GlotError(f"{path}: {error}")
