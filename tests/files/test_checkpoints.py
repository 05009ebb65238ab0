"""Files of `torch.save`: tensors come out as they went in, and nothing in one can keep glot busy or fill the memory."""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from typing import Any

import pytest
import torch

from glot_cli.files.checkpoints import StoredTensor, read_checkpoint
from glot_cli.files.faults import Damaged, FileFault, Refused


def saved(held: Any, zipped: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(held, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def with_program(program: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", program)
    return file.getvalue()


def hash_bomb() -> bytes:
    """A dictionary whose key is a tuple of the same tuple twice, forty deep: 2**40 values to hash."""
    return b"\x80\x02}" + b")q\x00" + b"h\x00h\x00\x86q\x00" * 40 + b"K\x01s."


def odd_key() -> bytes:
    """A file in the old form whose list of parts, the last pickle, holds that tuple."""
    data, file = saved({"a": torch.zeros(3)}, False), io.BytesIO()
    rest = io.BytesIO(data)
    for _ in range(4):
        file.write(data[rest.tell() :][: _length(rest)])
    return file.getvalue() + b"\x80\x02)q\x000" + b"h\x00h\x00\x86q\x000" * 40 + b"]h\x00a."


def _length(file: io.BytesIO) -> int:
    """Bytes of the pickle that begins here; the file is at its end then."""
    begin = file.tell()
    for _ in pickletools.genops(file):
        pass
    return file.tell() - begin


@pytest.mark.parametrize("zipped", [False, True])
def test_tensors_come_out_as_they_went_in(zipped: bool) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    held = OrderedDict(
        part=whole[1:, ::2], turned=whole.T, half=whole.half(), brain=whole.bfloat16(), count=torch.tensor(7),
        none=torch.zeros(0, 3), trained=torch.nn.Parameter(whole),
    )  # fmt: skip
    found = read_checkpoint(saved({"model": held, "state": {0: {"step": 5}}}, zipped))["model"]
    assert list(found) == list(held)
    for name, tensor in held.items():
        assert isinstance(found[name], StoredTensor)
        torch.testing.assert_close(found[name].tensor(), tensor.detach(), rtol=0, atol=0)


@pytest.mark.parametrize(
    "data",
    [
        with_program(hash_bomb()),
        with_program(b"\x80\x05\x96" + (1 << 31).to_bytes(8, "little") + b"."),  # a bytearray of 2 GB
        with_program(b"\x80\x02cos\nsystem\n."),
        with_program(pickle.dumps({1 << 40: 1}, 2)),
        with_program(b"\x80\x02" + b"N0" * 300_000 + b"}."),
        with_program(b"\x80\x02cnumpy\nndarray\nq\0(" + b"N" * 200_000 + b"tq\1" + b"h\0h\1R0" * 60_000 + b"}."),
        odd_key(),
        saved({"a": torch.zeros(3)}, False)[:-4],
    ],
    ids=["hash bomb", "bytearray", "call", "large key", "many steps", "long arguments", "odd key", "cut off"],
)
def test_what_torch_would_run_for_ever_is_refused(data: bytes) -> None:
    with pytest.raises((Refused, Damaged)):
        for value in read_checkpoint(data).values():
            value.tensor()


def test_one_number_is_no_tensor_of_any_size() -> None:
    found = read_checkpoint(saved({"a": torch.zeros(1).expand(1 << 40)}))
    with pytest.raises(FileFault, match="with 1 numbers"):
        found["a"].tensor()
