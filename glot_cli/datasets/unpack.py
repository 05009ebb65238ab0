"""Compressed files of joblib: unpacked piece by piece into a file that can be mapped, and never without end."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol

from glot_cli.errors import GlotError
from glot_cli.files.pickles import Damaged, Refused

PIECE = 1 << 20  # bytes
# Features shrink to 0.9 of their size, arrays of zeros to a thousandth. No official file is compressed at all.
MAX_RATIO = 200
ALWAYS = 64 << 20  # bytes that any file may unpack to

_REMEDY = "load it and dump it again, uncompressed"


class _Unpacker(Protocol):
    """As bz2 and lzma have them."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


class _Zlib:
    """The same for zlib and gzip."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(47)  # with the header of either
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = PIECE) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = len(out) < max_length
        return out


def _bz2() -> _Unpacker:
    import bz2

    return bz2.BZ2Decompressor()


def _lzma() -> _Unpacker:
    import lzma

    return lzma.LZMADecompressor(memlimit=256 << 20)  # the highest preset takes 65 MB


_KINDS: dict[str, tuple[bytes, Callable[[], _Unpacker]]] = {
    "gzip": (b"\x1f\x8b", _Zlib),
    "bz2": (b"BZh", _bz2),
    "xz": (b"\xfd7zXZ", _lzma),
    "lzma": (b"\x5d\x00", _lzma),
    "zlib": (b"\x78", _Zlib),
}


def packing(start: bytes) -> str | None:
    """How a file that begins with `start` (2 bytes or more) is compressed. Raises GlotError for what is not read."""
    if start.startswith(b"\x04\x22\x4d\x18"):
        raise GlotError(f"is compressed with lz4, which glot does not read; {_REMEDY}")
    if start.startswith(b"ZF"):
        raise GlotError(f"was written by joblib before 0.10; {_REMEDY} with a newer one")
    for name, (magic, _) in _KINDS.items():
        if start.startswith(magic) and (name != "zlib" or int.from_bytes(start[:2], "big") % 31 == 0):
            return name
    return None


def unpack(path: Path, kind: str, target: Path) -> None:
    """Write what a compressed file holds to `target`.

    Raises Damaged; Refused where that is more than 200 times the file's own size (and more than 64 MB); GlotError where
    it is more than the disk has room for.
    """
    limit = max(ALWAYS, MAX_RATIO * path.stat().st_size)
    free = shutil.disk_usage(target.parent).free
    done = 0
    with path.open("rb") as packed, target.open("wb") as out:
        for piece in _pieces(packed, kind):
            done += len(piece)
            if done > limit:
                raise Refused(f"unpacks to more than {limit / 1e6:,.0f} MB, far more than its size allows")
            if done > free:
                raise GlotError(
                    f"unpacks to more than the {free / 1e9:.1f} GB free in {target.parent.parent}; "
                    "name another folder with GLOT_DATA"
                )
            out.write(piece)


def _pieces(file: IO[bytes], kind: str) -> Iterator[bytes]:
    """What a file holds, at most a megabyte at a time."""
    magic, make = _KINDS[kind]
    try:
        unpacker, data = make(), b""
        while True:
            if unpacker.needs_input and not data:
                data = file.read(PIECE)
                if not data:
                    raise Damaged(f"is a {kind} file that was cut off")
            piece = unpacker.decompress(data, PIECE)
            data = b""
            if piece:
                yield piece
            if unpacker.eof:
                data = unpacker.unused_data + file.read(PIECE)
                if not data:
                    return
                if not data.startswith(magic):
                    raise Damaged(f"is a damaged {kind} file (something follows its end)")
                unpacker = make()  # parallel compressors write one after another
    except GlotError:
        raise
    except ImportError as error:
        raise GlotError(f"is compressed with {kind}, which this Python was built without; {_REMEDY}") from error
    except OSError as error:
        if error.errno is not None:  # of the disk, not of what is on it
            raise
        raise Damaged(f"is a damaged {kind} file ({error})") from error
    except Exception as error:  # each kind has its own
        raise Damaged(f"is a damaged {kind} file ({error})") from error
