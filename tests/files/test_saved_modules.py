"""Networks that PyTorch saved whole, read without making them; programs that ask for more than that."""

import pickle
import struct
import subprocess
import sys
import time
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

from glot_cli.files.faults import FileFault
from glot_cli.files.saved_modules import Made, modules, read_network, tensors
from tests.tracking.small_detectors import zipped


def text(words: str) -> bytes:
    return b"X" + struct.pack("<I", len(words)) + words.encode()


def test_modules_and_their_numbers_come_out(tmp_path):
    """By the names that PyTorch gives them, in whatever layout they were."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Linear(5, 6), nn.Identity()))
    network[0].weight.data = network[0].weight.data.to(memory_format=torch.channels_last)
    network[2][0].weight.data = torch.randn(5, 6).half().T
    path = tmp_path / "network.pt"
    torch.save({"model": network, "names": OrderedDict(a=1), "path": Path("x"), "set": {3}}, path)
    held = read_network(path)
    assert held["names"] == {"a": 1}
    found = modules(held["model"])
    assert {path: made.name for path, made in found.items()} == {
        path: f"{type(module).__module__}.{type(module).__name__}" for path, module in network.named_modules()
    }
    assert found["0"].state["kernel_size"] == (3, 3)
    loaded = {name: stored.tensor() for name, stored in tensors(found).items()}
    expected = network.state_dict()
    assert loaded.keys() == expected.keys()
    for name, numbers in loaded.items():
        assert numbers.dtype == expected[name].dtype
        torch.testing.assert_close(numbers, expected[name], rtol=0, atol=0)


def reduce(module: str, name: str, *arguments: bytes) -> bytes:
    return f"c{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def storage(count: int, kind: str = "FloatStorage", key: str = "0") -> bytes:
    return b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number(count) + b"tQ"


def tensor(count: int, offset: bytes, shape: bytes, strides: bytes, **how) -> bytes:
    arguments = storage(count, **how) + offset + shape + strides
    return reduce("torch._utils", "_rebuild_tensor_v2", arguments, b"\x89}")


ONE = number(0) + b"(" + number(4) + b"t(" + number(1) + b"t"
REFUSED = {
    "the system": (reduce("os", "system", text("touch ran")), "asks for os.system"),
    "builtins": (reduce("builtins", "eval", text("1")), "asks for builtins.eval"),
    "torch": (reduce("torch.hub", "load", text("x")), "asks for torch.hub.load"),
    "a set": (b"\x8f", "which no checkpoint needs"),
    "an extension": (b"\x82\x01", "which no checkpoint needs"),
    "a bytearray": (b"\x96" + struct.pack("<Q", 2 << 30), "which no checkpoint needs"),
    "a class's state": (b"ctorch.nn.modules.linear\nLinear\n}b", "damaged or cut off checkpoint"),
    "a class's state, twice": (b"ccollections\nOrderedDict\n}" + text("x") + b"Nsb", "damaged or cut off checkpoint"),
    "keys of tuples": (b"}(" + b")" + b"NuN", "neither text nor a number"),
    "keys of tuples, at once": (b"()Nd", "neither text nor a number"),
    "large keys": (b"}\x8b" + struct.pack("<i", 9) + b"\x01" * 9 + b"Ns", "which no checkpoint|neither text"),
    "other parts": (b"(" + text("file") + b"tQ", "parts outside itself"),
    "no storage": (b"(" + text("storage") + b"NNNNtQ", "without numbers"),
    "less than nothing": (storage(-4), "without numbers"),
    "no shape": (tensor(4, b"N", b")", b")"), "without a shape"),
    "another shape": (tensor(4, number(0), b"(" + number(4) + b"t", b")"), "without a shape"),
    "negative": (tensor(4, number(0), b"(" + number(-4) + b"t", b"(" + number(1) + b"t"), "without a shape"),
    "no stack": (b"0", "damaged or cut off checkpoint"),
    "names": (b"".join(f"ctorch.nn.modules.x\nX{i}\n0".encode() for i in range(1001)) + b"N", "1,000 classes"),
    "steps": (b"(" + b"N" * 1_300_000 + b"t", "more than 500,000 steps"),
    "names with zeros": (b"\x80\x04" + text("torch.nn.modules.x") + text("a\0b") + b"\x93", "cut off checkpoint"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_programs_that_ask_for_more_are_refused(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    steps, match = REFUSED[kind]
    with pytest.raises(FileFault, match=match):
        read_network(Path(zipped(b"\x80\x02" + steps + b".", tmp_path / "odd.pt")))
    assert [path.name for path in tmp_path.iterdir()] == ["odd.pt"]


NO_TENSOR = {
    "one number for many": (tensor(1, number(0), b"(" + number(1 << 30) + b"t", b"(" + number(0) + b"t"), "of shape"),
    "beyond its end": (tensor(4, number(3), b"(" + number(4) + b"t", b"(" + number(1) + b"t"), "of shape"),
    "more than there are": (
        tensor(17, number(0), b"(" + number(4) + b"t", b"(" + number(1) + b"t"),
        "lacks the numbers",
    ),
}


@pytest.mark.parametrize("kind", NO_TENSOR)
def test_tensors_of_a_module_have_their_numbers(kind, tmp_path):
    steps, match = NO_TENSOR[kind]
    held = read_network(Path(zipped(b"\x80\x02" + steps + b".", tmp_path / "few.pt")))
    with pytest.raises(FileFault, match=match):
        held.tensor()


def test_what_stands_for_a_module_is_one(tmp_path):
    layer = b"ctorch.nn.modules.linear\nLinear\n)\x81}("
    tables = b"".join(text(name) + b"}" for name in ("_modules", "_buffers"))
    for steps, match in {
        layer + b"ub": "that is no module",
        layer + tables + text("_parameters") + b"}" + text("weight") + b"Nsub": None,
        layer + tables + text("_parameters") + b"}" + text("weight") + b"K\x01sub": "parameters are no tensors",
        layer + text("_modules") + b"}" + text("x" * 201) + b"Nsub": "that is no module",
        layer + text("_modules") + b"}K\x01Nsub": "that is no module",
        layer + text("_modules") + b"}" + text("in") + text("words") + b"sub": "no module",
    }.items():
        held = read_network(Path(zipped(b"\x80\x02" + steps + b".", tmp_path / "odd.pt")))
        if match is None:
            assert tensors(modules(held)) == {}
        else:
            with pytest.raises(FileFault, match=match):
                tensors(modules(held))


def test_nothing_that_is_named_is_made(tmp_path):
    """60000 x 20000 numbers would be 5 GB."""
    steps = reduce("torch.nn.modules.linear", "Linear", number(60000), number(20000))
    held = read_network(Path(zipped(b"\x80\x02" + steps + b".", tmp_path / "linear.pt")))
    assert isinstance(held, Made) and held.name == "torch.nn.modules.linear.Linear" and held.given == (60000, 20000)


HUNGRY = {
    "tuples in tuples": b")q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"}h\x00Ns",
    "dictionaries": b"(" + b"}" * (4_000_000) + b"t",
    "lists in lists": b"]q\x00" + b"h\x00h\x00a" * 100_000,
    "deep": b"(" * 1_000_000 + b"t" * 1_000_000,
    "modules": b"ctorch.nn.modules.linear\nLinear\nq\x00" + b"(" + b"h\x00)\x81" * 800_000 + b"t",
    "tables": b"ccollections\nOrderedDict\nq\x00" + b"(" + b"h\x00)R" * 800_000 + b"t",
    "digits": b"I" + b"9" * 2_000_000 + b"\n",
}
IN_LIMITS = """
import sys, time
from pathlib import Path
from glot_cli.files.faults import FileFault
from glot_cli.files.saved_modules import read_network
begin = time.process_time()
try:
    read_network(Path(sys.argv[1]))
except FileFault as fault:
    assert len(str(fault)) < 300
# Not resource's figure, which counts what the parent held when it made this process.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(time.process_time() - begin, peak.split()[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the child measures its memory in kilobytes")
@pytest.mark.parametrize("kind", HUNGRY)
def test_time_and_memory_are_bounded_whatever_the_program(kind, tmp_path):
    path = zipped(b"\x80\x02" + HUNGRY[kind] + b".", tmp_path / "hungry.pt")
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", IN_LIMITS, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (time.monotonic() - begin, done.stderr[-1000:])
    seconds, kilobytes = map(float, done.stdout.split())
    assert seconds < 10 and kilobytes < 1_000_000, (seconds, kilobytes)


def test_pickles_of_plain_values_are_plain(tmp_path):
    held = {"epoch": 3, "args": {0: "a", "b": [1.5, None, True, (2, 3)]}}
    assert read_network(Path(zipped(pickle.dumps(held, 2), tmp_path / "plain.pt"))) == held
