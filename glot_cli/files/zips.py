"""Zips of others: what is in them, checked before it is unpacked."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from glot_cli.files.faults import Damaged, Refused, check_claim, damage

MAX_MEMBERS = 100_000
_ENCRYPTED = 1  # bit of a member's flags
_KIND = "a damaged or cut off archive"


class OpenZip:
    """A zip that is open.

    Attributes:
        members: those that are wanted, by name, each once.
    """

    def __init__(self, archive: zipfile.ZipFile, wanted: Callable[[str], bool], size: int, always: int | None) -> None:
        listed = archive.infolist()
        if len(listed) > MAX_MEMBERS:
            raise Refused(f"is an archive of more than {MAX_MEMBERS:,} files")
        chosen = [info for info in listed if wanted(info.filename)]
        self.members = {info.filename: info for info in chosen}
        if len(self.members) < len(chosen):
            raise Damaged("is a damaged archive (two files in it have one name)")
        check_claim(sum(info.file_size for info in chosen), size, always=always)
        for info in chosen:
            if info.flag_bits & _ENCRYPTED:
                raise Refused(f"holds {info.filename}, which is encrypted")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without measure
                raise Refused(f"holds {info.filename}, compressed with something else than deflate")
        self._archive = archive

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A member to read; whoever has read all that it claims to hold reads on, to see that nothing follows."""
        with self._archive.open(self.members[name]) as member:
            yield member
            if member.read(1):  # which also makes zipfile compare the checksum
                raise Damaged(f"is a damaged archive ({name} is longer than it should be)")

    def read(self, name: str) -> bytes:
        """A member whole, compared with its checksum."""
        info = self.members[name]
        data = self._archive.read(info)
        if len(data) != info.file_size:
            raise Damaged(f"is a damaged archive ({name} is shorter than it should be)")
        return data


@contextmanager
def open_zip(
    file: IO[bytes], wanted: Callable[[str], bool], kind: str = _KIND, always: int | None = None
) -> Iterator[OpenZip]:
    """A zip, once all that is wanted of it is no more than its size allows.

    Args:
        file: it, open.
        wanted: whether a member of that name will be read.
        kind: what it is where it cannot be read.
        always: what it may unpack to, however small it is; see `check_claim`.

    Raises:
        Damaged: it is cut off, altered or no zip; also while it is read in the block.
        Refused: it claims to hold far more than its size allows, or what is wanted is encrypted, or compressed with
            something else than deflate.
    """
    size = file.seek(0, os.SEEK_END)
    with damage(kind), zipfile.ZipFile(file) as archive:
        yield OpenZip(archive, wanted, size, always)


def zip_names(file: IO[bytes]) -> list[str]:
    """Names of the files in a zip. Raises Damaged."""
    with damage(_KIND), zipfile.ZipFile(file) as archive:
        return archive.namelist()
