"""`glot data add`: an official file read without trust, checked, converted and kept in the user's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from glot_cli.datasets.convert import Conversion
from glot_cli.datasets.folders import FORMAT, DatasetMeta, name_of, user_data_folder, write_meta
from glot_cli.datasets.write_dataset import check_room, new_folder, write_columns
from glot_cli.errors import InputError
from glot_cli.files.faults import FileFault, check_claim
from glot_cli.files.sources import open_source
from glot_cli.progress import Progress


@dataclass(frozen=True)
class AddedDataset:
    """A data set that was taken in.

    Attributes:
        meta: what it is.
        folder: where it lies.
        remark: what is worth telling of it, or "".
    """

    meta: DatasetMeta
    folder: Path
    remark: str


def add_dataset(path: Path, name: str | None = None, replace: bool = False, quiet: bool = False) -> AddedDataset:
    """Take in a file of joblib (*_db.pt) or an HDF5 file (*_db.h5). Nothing is kept of one that fails.

    Args:
        path: the file.
        name: what to call the data set; by default as the file.
        replace: whether it may take the place of one of that name.
        quiet: show no progress.

    Raises:
        InputError: the file is missing, damaged, refused, compressed or no data set.
        OutputError: there is one of that name that may not be replaced, or the disk is full.
        UsageError: no data set can have that name.
    """
    name = name_of(path) if name is None else name
    progress = Progress(name, quiet)
    with new_folder(name, replace) as folder:
        try:
            with open_source(path) as arrays:
                conversion = Conversion(arrays)
                check_claim(conversion.n_bytes, path.stat().st_size, "makes a data set of")
                check_room(folder, conversion.n_bytes)
                with progress.stage("convert", conversion.frames) as bar:
                    write_columns(folder, conversion.columns, conversion.frames, conversion.parts(), bar)
        except FileFault as error:
            raise error.about(path, InputError) from error
        meta = DatasetMeta(
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
    return AddedDataset(meta, user_data_folder() / name, _remark(conversion))


def _remark(conversion: Conversion) -> str:
    if not conversion.invalid:
        return ""
    count = f"{conversion.invalid:,} frame{'s' * (conversion.invalid != 1)}"
    first = f"first row {conversion.first_invalid:,}"
    return f"{count} without a box or with values that are no numbers marked invalid ({first})"
