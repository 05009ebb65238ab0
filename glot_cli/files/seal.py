"""Files that prove of themselves that glot wrote them and that nobody changed them since.

glot deletes and replaces what it wrote and nothing else, so it must know its own files without a ledger that can be
lost, moved or outlive them. Every file that a run publishes therefore carries a seal: a digest of its content, kept
where its format has room for it and other programs look past it: the comment of a zip archive (`.npz`), a box of a
private type at the end of an MP4, a comment at the end of an HTML page, a key of a JSON object. A seal guards
against mistakes, not against forgers: of large files it covers the size and the first and last MiB, where every encoder
and archiver leaves its traces.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from glot_cli.files.atomic import aside_name

ENDS = 1 << 20  # bytes at both ends of a file that a fingerprint reads: enough to tell videos apart
JSON_KEY = "seal"
_JSON_TAIL = len(f',\n  "{JSON_KEY}": "{64 * "0"}"\n}}\n')
LARGEST_JSON = 16 << 20  # bytes; a report has kilobytes

_ZIP_MARK = b"glot seal 1 "
_ZIP_TAIL = len(_ZIP_MARK) + 64  # bytes of the comment: mark and SHA-256 in hexadecimal digits
_MP4_TYPE = bytes.fromhex("676c6f7473656131b5d2c1f0a7e94b83")  # chosen once; ISO/IEC 14496-12, 11.1: type "uuid"
_MP4_HEAD = (8 + 16 + 64).to_bytes(4, "big") + b"uuid" + _MP4_TYPE
_MP4_TAIL = len(_MP4_HEAD) + 64
_HTML_START = b"<!doctype ht"
_HTML_MARK, _HTML_END = b"<!-- glot seal 1 ", b" -->\n"
_HTML_TAIL = len(_HTML_MARK) + 64 + len(_HTML_END)


def fingerprint(path: Path) -> str:
    """What a file is, whatever its name: its size and a SHA-256 of its first and last MiB.

    Args:
        path: a regular file.

    Returns:
        Size in bytes and 64 hexadecimal digits, joined by "-".

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return f"{size}-{_digest(file, size)}"


def seal_file(path: Path, durable: bool = True) -> None:
    """Seal a finished `.npz`, MP4 or HTML file that nobody else sees yet. Files of other kinds stay as they are.

    Args:
        path: the file.
        durable: wait until it is on the disk, so that under its final name it is whole after a power cut too.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        start = file.read(12)
        if start[4:8] == b"ftyp":
            tail = _MP4_HEAD + _digest(file, size).encode()
            file.seek(0, os.SEEK_END)
            file.write(tail)
        elif start[:2] == b"PK":
            digest = _digest(file, size)
            file.seek(-2, os.SEEK_END)  # the length of the comment, of which a new archive has none
            file.write(_ZIP_TAIL.to_bytes(2, "little") + _ZIP_MARK + digest.encode())
        elif start == _HTML_START:
            tail = _HTML_MARK + _digest(file, size).encode() + _HTML_END
            file.seek(0, os.SEEK_END)
            file.write(tail)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def publish(aside: Path, path: Path, own: bool | None = None) -> None:
    """Give a finished file its name, in the place of nothing, or of a file that glot wrote.

    Args:
        aside: the file; see `atomic.aside_name`.
        path: its name.
        own: whether there is such a file; by default its seal says so.

    Raises:
        FileExistsError: something else has that name; it stays.
        OSError: it cannot be renamed.
    """
    if own or (own is None and sealed_kind(path) is not None):
        aside.replace(path)
        return
    taken = FileExistsError(errno.EEXIST, "there is a file of that name that glot did not write")
    try:
        os.link(aside, path)  # unlike renaming, it fails where something has come in this very moment
    except FileExistsError:
        raise taken from None
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise taken from None
        aside.rename(path)
        return
    aside.unlink()


@contextmanager
def sealed(
    path: Path, durable: bool = True, first: Callable[[], None] | None = None, own: bool | None = None
) -> Iterator[Path]:
    """Where to write a file, aside; once the block is done it is sealed and published (`publish`).

    Nothing is left of it when the block, or `first`, ends with an error. Raises OSError.

    Args:
        path: the final name.
        durable: see `seal_file`.
        first: called when the file is complete, before it gets its name.
        own: see `publish`.
    """
    aside = aside_name(path)
    try:
        yield aside
        seal_file(aside, durable)
        if first is not None:
            first()
        publish(aside, path, own)
    finally:
        with suppress(OSError):  # it has its final name, or could not even be made
            aside.unlink()


def sealed_json(report: dict[str, Any]) -> str:
    """JSON text of an object, sealed. See `unsealed_json`."""
    plain = json.loads(json.dumps(report))  # as it will be read back: keys are text, tuples lists
    return json.dumps({**plain, JSON_KEY: _digest_of(plain)}, indent=2) + "\n"


def unsealed_json(path: Path, largest: int | None = None) -> dict[str, Any] | None:
    """The object in a file of sealed JSON without its seal; None where there is none, or where it was changed.

    Args:
        path: the file.
        largest: bytes that it may have, `LARGEST_JSON` by default; beyond these only what ends in a seal as
            `sealed_json` writes it.
    """
    try:
        if not is_regular(path) or path.stat().st_size > (largest or LARGEST_JSON):
            return None
        if path.stat().st_size > LARGEST_JSON and not _ends_sealed(path):
            return None
        report = json.loads(path.read_text(encoding="utf-8"))
        seal = report.pop(JSON_KEY, None)
        return report if isinstance(report, dict) and seal == _digest_of(report) else None
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return None


def sealed_kind(path: Path) -> str | None:
    """Which kind of glot's files a path is: "npz", "mp4", "html" or "json".

    None where it is a link, no regular file, not written by glot, or changed since.
    """
    try:
        if not is_regular(path):
            return None
        with path.open("rb") as file:
            start = file.read(12)
            size = file.seek(0, os.SEEK_END)
            if start[4:8] == b"ftyp":
                expected = _MP4_HEAD + _digest(file, size - _MP4_TAIL).encode()
                return "mp4" if _tail(file, size, len(expected)) == expected else None
            if start[:2] == b"PK":
                digest = _digest(file, size - _ZIP_TAIL, ends_with=b"\0\0").encode()
                expected = _ZIP_TAIL.to_bytes(2, "little") + _ZIP_MARK + digest
                return "npz" if _tail(file, size, len(expected)) == expected else None
            if start == _HTML_START:
                expected = _HTML_MARK + _digest(file, size - _HTML_TAIL).encode() + _HTML_END
                return "html" if _tail(file, size, len(expected)) == expected else None
    except (OSError, ValueError):
        return None
    return "json" if unsealed_json(path) is not None else None


def is_regular(path: Path) -> bool:
    """Whether a path is a regular file and no link. Raises OSError where there is nothing."""
    return stat.S_ISREG(path.lstat().st_mode)


def _tail(file: IO[bytes], size: int, count: int) -> bytes:
    file.seek(max(0, size - count))
    return file.read(count)


def _digest(file: IO[bytes], size: int, ends_with: bytes = b"") -> str:
    """SHA-256 of a size and of the first and last MiB of so many bytes, the very last ones taken to be `ends_with`."""
    digest = hashlib.sha256(str(size).encode())
    held = max(0, size - len(ends_with))
    file.seek(0)
    digest.update(file.read(min(ENDS, held)))
    start = max(ENDS, size - ENDS)  # as counted when it was sealed, with what the end was then
    if start < held:
        file.seek(start)
        digest.update(file.read(held - start))
    digest.update(ends_with)
    return digest.hexdigest()


def _ends_sealed(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-_JSON_TAIL, os.SEEK_END)
        return re.fullmatch(rb',\n  "seal": "[0-9a-f]{64}"\n}\n', file.read()) is not None


def _digest_of(report: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(report, sort_keys=True).encode()).hexdigest()
