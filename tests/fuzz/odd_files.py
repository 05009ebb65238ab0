"""Files that are odd inside: well formed as far as it goes, with values, types, shapes and programs that none has."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import random
import re
import struct
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from glot_cli.files.seal import sealed_json

# Values as they stand in a JSON text.
ODD_VALUES = (
    "NaN", "Infinity", "1e999", "-1", "0", "0.5", "1e-320", "2147483648", "9223372036854775808", "1" + "0" * 400,
    "9" * 5000, "null", "true", "[]", "{}", "[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000,
    '""', '"\\ud800"', '"\\udc80"', '"\\u0000"', '"a\\nb"', '"\\u001b[2J"', '"../../x"', '"/dev/zero"', '"~nobody/x"',
    '"1/0"', '"30/1e5"', '" 30"', '"\u0663\u0660"', '"1e5"', '"99999/100000"', '"smpl-\\n"', '"glot-open"', '"open"',
    f'"{"x" * 5000}"', f'"{"x" * 3000}"', "[1, 0]", "[0, 0, 0]", "[-1]", "[1e9]", '{"a": 1}', '{"a": "b"}',
)  # fmt: skip
ODD_SHAPES = (
    "(-1,)", "(4294967296, 4294967296)", "(0, 9223372036854775807)", "(True, 3)", "(1.0,)", "(" + "1, " * 40 + ")", "3",
    "(" * 300 + ")" * 300, "(9" + "9" * 30 + ",)", "(0,)", "()", "None", "(2**40,)",
)  # fmt: skip
ODD_TYPES = (
    "'|O'", "'<c16'", "'|V9'", "'|V0'", "'<U0'", "'<U2000000000'", "'|S3'", "'>f4'", "'<f2'", "'<f16'", "'<M8[ns]'",
    "'|b1'", "[('a', '<f4')]", "[('a', '|O')]", "('<f4', (1000000000,))", "[('a', ('<f4', (9999, 9999)))]", "''", "3",
    "[('a', [('a', [('a', '<f4')])])]", "'<f4, <f4'", "'a' * 99", "{'names': ['a'], 'formats': ['<f4']}",
)  # fmt: skip
ODD_NUMBERS = (np.nan, np.inf, -3e38, 1e38, 1e20, 1e9, 1e-45, -1, 0, 500, 2**31 - 1, -(2**31))


def odd_json(text: str, chance: random.Random) -> str:
    """An object of JSON with a value that cannot be, perhaps under a name that stands there twice, or with less."""
    held = json.loads(text)
    parts = [(json.dumps(name), json.dumps(value)) for name, value in held.items()]
    at = chance.randrange(len(parts))
    kind = chance.randrange(6)
    if kind == 0:
        del parts[at]
    elif kind == 1:
        parts.append((parts[at][0], chance.choice(ODD_VALUES)))
    elif kind == 2 and isinstance(held[json.loads(parts[at][0])], dict) and len(parts[at][1]) > 2:
        parts[at] = parts[at][0], odd_json(parts[at][1], chance)
    else:
        parts[at] = parts[at][0], chance.choice(ODD_VALUES)
    return "{" + ", ".join(f"{name}: {value}" for name, value in parts) + "}"


def odd_array(values: np.ndarray, chance: random.Random) -> bytes:
    """A .npy with odd values, in an odd order, or with a header that says something odd."""
    held = io.BytesIO()
    if values.dtype.kind == "U" and not values.ndim and chance.random() < 0.8:
        text = str(values)
        np.save(held, np.array(odd_json(text, chance) if text.startswith("{") else chance.choice(ODD_VALUES)))
        return held.getvalue()
    kind = chance.randrange(7)
    with np.errstate(all="ignore"):
        values = values.copy()
        if kind == 0 and values.dtype.kind in "fi" and values.size:
            number = chance.choice(ODD_NUMBERS)
            if values.dtype.kind == "f" or (np.isfinite(number) and abs(number) < 2**31):
                flat = values.reshape(-1)
                flat[slice(None) if chance.random() < 0.5 else chance.randrange(values.size)] = number
        elif kind == 1 and values.ndim:
            values = values[np.array([chance.randrange(len(values)) for _ in values], int)] if len(values) else values
        elif kind == 2 and values.ndim:
            values = values[::-1]
        elif kind == 3:
            values = np.asfortranarray(values)
        elif kind == 4 and values.dtype.kind == "f":
            values = values * np.float32(chance.choice((1e3, 1e6, 1e30, -1, 0)))
        np.save(held, values, allow_pickle=False)
    content = held.getvalue()
    if kind < 5:
        return content
    version, length = content[:8], struct.unpack("<H", content[8:10])[0]
    header, body = content[10 : 10 + length].decode("latin1"), content[10 + length :]
    if kind == 5:
        header = header[: header.index("'shape': ") + 9] + chance.choice(ODD_SHAPES) + ", }"
    else:
        header = f"{{'descr': {chance.choice(ODD_TYPES)}, {header[header.index(chr(39) + 'fortran') :].strip()}"
    return version + struct.pack("<H", len(header) + 1) + header.encode() + b"\n" + body


def odd_archive(data: bytes, chance: random.Random) -> bytes:
    """A zip of arrays with odd ones, odd names, odd ways to pack them, or lies in its list of files."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    for at in chance.sample(range(len(members)), min(len(members), chance.choice((1, 1, 1, 2, 5)))):
        name, content = members[at]
        kind = chance.randrange(12)
        if kind == 0:
            members.append((chance.choice(("../x.npy", "/x.npy", "a\0b.npy", name, "\ud7ff.npy", ".npy")), content))
        elif kind == 1:
            members[at] = name, content[-chance.randrange(1, 200) :]
        elif name.endswith(".npy"):
            members[at] = name, odd_array(np.load(io.BytesIO(content), allow_pickle=False), chance)
    packed = io.BytesIO()
    way = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED))
    way = chance.choice((zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)) if chance.random() < 0.03 else way
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w", way) as archive:
        warnings.simplefilter("ignore")  # two members of one name are meant
        for name, content in members:
            archive.writestr(name, content)
    return _odd_list(packed.getvalue(), chance) if chance.random() < 0.2 else packed.getvalue()


def _odd_list(data: bytes, chance: random.Random) -> bytes:
    """A zip whose list of files lies: of a size, a place, a checksum, a flag, a way of packing, a number of files."""
    held = bytearray(data)
    start = data.rindex(b"PK\1\2")
    places = ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (42, 4))
    at, size = chance.choice(places)
    if chance.random() < 0.2:  # the end of the list: how many, how long, where
        start, (at, size) = data.rindex(b"PK\5\6"), chance.choice(((8, 2), (10, 2), (12, 4), (16, 4)))
    value = chance.choice((0, 1, 9, 12, 99, (1 << 8 * size) - 1, (1 << 8 * size - 1) - 1, chance.getrandbits(8 * size)))
    held[start + at : start + at + size] = value.to_bytes(size, "little")
    return bytes(held)


def odd_safetensors(data: bytes, chance: random.Random) -> bytes:
    """Tensors under a header that says something odd of them."""
    length = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + length].decode(), data[8 + length :]
    held = json.loads(header)
    told = held[name := chance.choice(sorted(held))]
    if name == "__metadata__" and "config" in told and chance.random() < 0.7:
        told["config"] = odd_json(told["config"], chance)
        header = json.dumps(held)
    elif name != "__metadata__" and chance.random() < 0.7:
        size = len(body)
        told |= chance.choice((
            {"data_offsets": [0, size]}, {"data_offsets": [size, 0]}, {"data_offsets": [0, 0]},
            {"data_offsets": [-1, 4]}, {"data_offsets": [0, 1 << 63]}, {"shape": [1 << 32, 1 << 32]},
            {"shape": []}, {"shape": [0, 1 << 60]}, {"shape": [-1]}, {"shape": [1] * 100},
            {"shape": told["shape"][::-1]}, {"dtype": chance.choice(("BOOL", "F8_E8M0", "C64", "X", "F64", "F16"))},
        ))  # fmt: skip
        header = json.dumps(held)
    else:
        header = odd_json(header, chance)
    coded = header.encode("utf-8", "replace")
    told_length = (
        len(coded) if chance.random() < 0.95 else chance.choice((0, 1, 1 << 63, (1 << 64) - 1, len(coded) * 2))
    )
    body = chance.choice((body, body, body, body[:-3], b"", body + b"\0" * 8))
    if chance.random() < 0.2:
        filled = np.frombuffer(body[: len(body) // 4 * 4], np.float32).copy()
        filled[...] = chance.choice((np.nan, np.inf, 3e38, 1e5, 1e-45))
        body = filled.tobytes()
    return told_length.to_bytes(8, "little") + coded + body


# What a pickle is made of; every piece leaves one value more, or takes some and leaves one.
_NAMES = (
    "numpy\nndarray", "numpy\ndtype", "numpy.core.multiarray\n_reconstruct", "numpy.core.multiarray\nscalar",
    "numpy.core.numeric\n_frombuffer", "_codecs\nencode", "copy_reg\n_reconstructor", "__builtin__\nobject",
    "__builtin__\nbytes", "chumpy.ch\nCh", "scipy.sparse.csc\ncsc_matrix", "scipy.sparse.csr\ncsr_matrix",
    "collections\nOrderedDict", "torch._utils\n_rebuild_tensor_v2", "torch._utils\n_rebuild_parameter",
    "torch\nFloatStorage", "torch\nLongStorage", "torch\nBoolStorage", "os\nsystem", "builtins\neval",
)  # fmt: skip
_VALUES = (
    b"N", b"\x88", b"K\x01", b"K\x18", b"J\xff\xff\xff\xff", b"G\x7f\xf8\0\0\0\0\0\0", b")", b"]", b"}", b"X\1\0\0\0x",
    b"C\4\0\0\x80?", b"U\2f4", b"X\6\0\0\0latin1", b"\x8a\x09\0\0\0\0\0\0\0\0\1", b"X\1\0\0\0b", b"U\1<",
    b"X\3\0\0\0\xed\xa0\x80", b"X\7\0\0\0storage", b"L" + b"9" * 5000 + b"L\n",
)  # fmt: skip
_STEPS = (b"\x85", b"\x86", b"\x87", b"R", b"R", b"\x81", b"b", b"b", b"a", b"s", b"2", b"Q", b"0")


def odd_program(chance: random.Random) -> bytes:
    """A pickle of steps at random, some of them very often."""
    made = bytearray(b"\x80\x02")
    kept = 0
    for _ in range(chance.randrange(3, 60)):
        kind = chance.random()
        if kind < 0.25:
            made += b"c" + chance.choice(_NAMES).encode() + b"\n"
        elif kind < 0.5:
            made += chance.choice(_VALUES)
        elif kind < 0.6:
            made += b"q" + bytes([kept % 256])
            kept += 1
        elif kind < 0.7 and kept:
            made += b"h" + bytes([chance.randrange(kept) % 256])
        elif kind < 0.72:  # a tuple of itself twice, and so on: for ever to hash or to write
            made += b"q\xf0" + b"h\xf0h\xf0\x86q\xf0" * 60
        elif kind < 0.74:  # long arguments, used often
            made += b"(" + b"N" * 20_000 + b"tq\xf1" + b"cnumpy\nndarray\nh\xf1R" * 2000
        elif kind < 0.76:
            made += chance.choice((b"]" * 5000 + b"a" * 4999, b"}" + b"X\1\0\0\0ah\0s" * 2000, b"\x96" + b"\xff" * 8))
        else:
            made += chance.choice(_STEPS)
    return bytes(made) + b"."


class Made:
    """Something that is pickled as a call of a name with arguments, and a state."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], state: Any = None) -> None:
        self._told = function, arguments, state

    def __reduce__(self) -> tuple[Any, ...]:
        return self._told


def odd_call(tensor: Any, chance: random.Random) -> Made:
    """A tensor of PyTorch that says something odd of its numbers, or that is something else."""
    import torch

    odd = chance.choice((-1, 0, 1 << 40, 1 << 63, 1 << 5000, None, "x", 1.5, (), ((),) * 3, True, float("nan")))
    storage = torch.storage.TypedStorage(wrap_storage=tensor.untyped_storage(), dtype=tensor.dtype, _internal=True)
    told = [storage, 0, tuple(tensor.shape), tensor.stride(), False, None]
    at = chance.randrange(1, 4)
    told[at] = odd if at == 1 or chance.random() < 0.3 else (odd,) * chance.choice((1, tensor.ndim, 40))
    if chance.random() < 0.2:
        return Made(
            np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), chance.choice((None, (1, odd, 2, 3, 4)))
        )
    return Made(torch._utils._rebuild_tensor_v2, tuple(told))


def odd_checkpoint(data: bytes, chance: random.Random) -> bytes:
    """What `torch.save` makes of a network, in either form, with tensors that are odd, or another program in it."""
    import torch

    state = dict(torch.load(io.BytesIO(data))["model"])
    for _ in range(chance.randrange(3)):
        name = chance.choice(sorted(state))
        state[name] = (
            odd_call(torch.ones(2, 3), chance) if chance.random() < 0.7 else chance.choice(("x", None, 3, [], {}))
        )
    held: Any = chance.choice((state, {"model": state, "epoch": 3}, [state], {"model": {"model": state}}, {3: state}))
    made = io.BytesIO()
    torch.save(held, made, _use_new_zipfile_serialization=(zipped := chance.random() < 0.5), pickle_protocol=2)
    data = made.getvalue()
    if chance.random() < 0.5:
        return data
    program = odd_program(chance)
    if not zipped:
        starts = [0]
        for _ in range(5):
            rest = io.BytesIO(data[starts[-1] :])
            for _ in pickletools.genops(rest):
                pass
            starts.append(starts[-1] + rest.tell())
        at = chance.randrange(1, 5)
        return data[: starts[at]] + program + data[starts[at + 1] :]
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            new.writestr(name, program if name.endswith("data.pkl") else old.read(name))
    return packed.getvalue()


def odd_body(data: bytes, chance: random.Random) -> bytes:
    """The pickle of a body in which arrays are sparse matrices whose indices do not fit, or odd."""
    from scipy import sparse

    arrays: dict[str, np.ndarray] = pickle.loads(data)
    if chance.random() < 0.3:
        return odd_program(chance)
    held: dict[str, Any] = dict(arrays)
    name = chance.choice(sorted(held))
    matrix = sparse.csc_matrix(arrays["J_regressor"])
    part = chance.choice(("data", "indices", "indptr", "_shape"))
    if part == "_shape":
        matrix._shape = chance.choice(
            ((-1, 3), (1 << 40, 1 << 40), (3,), (0, 0), (1 << 70, 1), (24, 10**9), None, "ab")
        )
    else:
        old = getattr(matrix, part)
        wrong = (old[:-1], old + 1, -old, old.astype(float), old[::-1], old * 10**6, old[:, None], old.astype("U4"))
        setattr(matrix, part, chance.choice(wrong))
    odd: Any = (
        matrix,
        odd_program(chance),
        [1] * 9,
        arrays[name].astype("c8"),
        arrays[name].astype(">f8"),
        "x",
        {},
        None,
    )
    held[chance.choice((name, "J_regressor"))] = chance.choice(odd)
    return pickle.dumps(held, chance.choice((0, 1, 2, 4, 5)))


def small_body() -> dict[str, np.ndarray]:
    """A body of 24 joints and 30 vertices."""
    rng = np.random.default_rng(0)
    shares = np.full((30, 24), 1 / 24)
    return {
        "v_template": rng.normal(0, 0.5, (30, 3)), "shapedirs": rng.normal(0, 0.01, (30, 3, 10)), "weights": shares,
        "posedirs": rng.normal(0, 0.01, (30, 3, 207)), "J_regressor": np.full((24, 30), 1 / 30),
        "kintree_table": np.stack([np.arange(24) - 1, np.arange(24)]), "f": rng.integers(0, 30, (50, 3)),
    }  # fmt: skip


def bvh() -> str:
    """A motion of ten frames."""
    lines, turns = ["HIERARCHY"], "Zrotation Xrotation Yrotation"

    def joint(kind: str, name: str, place: str, *inner: tuple[Any, ...]) -> None:
        moves = "6 Xposition Yposition Zposition" if kind == "ROOT" else "3"
        lines.extend([f"{kind} {name}", "{", f"OFFSET {place}", f"CHANNELS {moves} {turns}"])
        for child in inner:
            joint("JOINT", *child)
        lines.extend([*(() if inner else ("End Site", "{", "OFFSET 0 0.1 0", "}")), "}"])

    sides = (("Left", 1), ("Right", -1))
    legs = [(f"{s}UpLeg", f"{x * 0.1} -0.1 0", (f"{s}Leg", "0 -0.4 0", (f"{s}Foot", "0 -0.4 0"))) for s, x in sides]
    arms = [(f"{s}Arm", f"{x * 0.2} 0.3 0", (f"{s}ForeArm", f"{x * 0.3} 0 0")) for s, x in sides]
    joint("ROOT", "Hips", "0 0.9 0", *legs, ("Spine", "0 0.2 0", *arms, ("Head", "0 0.5 0")))
    frames = [" ".join(str(3 * n % 7) for n in range(at, at + 42)) for at in range(10)]
    return "\n".join([*lines, "MOTION", "Frames: 10", "Frame Time: 0.0333333", *frames, ""])


def odd_bvh(data: bytes, chance: random.Random) -> bytes:
    """A motion whose joints are nested deep, or one of whose words says something odd."""
    text = data.decode()
    kind = chance.randrange(5)
    if kind == 0:
        depth = chance.choice((100, 990, 5000))
        inner = "JOINT a\n{\nOFFSET 0 0 0\nCHANNELS 3 Zrotation Xrotation Yrotation\n" * depth
        return text.replace("End Site\n{\nOFFSET 0 0.1 0\n}", inner + "}\n" * depth, 1).encode()
    if kind == 1:
        word = chance.choice(("Frames: ", "Frame Time: ", "CHANNELS ", "OFFSET ", "JOINT "))
        odd = chance.choice(
            ("1e400", "-1", "0", "nan", "9" * 30, "9" * 5000, "", "1000000", "x" * 100_000, "\x1b[2J", "\0")
        )
        places = [found.end() for found in re.finditer(word, text)]
        at = chance.choice(places)
        return (text[:at] + odd + text[at + len(re.match(r"\S*", text[at:])[0]) :]).encode()
    if kind == 2:
        return text.replace(
            chance.choice(("\n}", "{\n", "MOTION", "Zrotation")), chance.choice(("", "\n", "Xrotation"))
        ).encode()
    numbers = text[text.index("Frame Time") :]
    words = numbers.split(" ")
    for _ in range(chance.choice((1, 1, 100))):
        words[chance.randrange(3, len(words))] = chance.choice(
            ("1e400", "nan", "-1e7", "1e5", "1e-320", "x", "0x1", "1_0")
        )
    made = " ".join(words)
    return text.replace(numbers, made + ("0 " * 42 + "\n") * chance.choice((0, 0, 1, 100_000))).encode()


def odd_toml(data: bytes, chance: random.Random) -> bytes:
    """A configuration in which one value, or one key, is something odd."""
    lines = data.decode().splitlines()
    places = [at for at, line in enumerate(lines) if re.match(r"\w+ = ", line)]
    at = chance.choice(places)
    key = lines[at].split(" = ")[0]
    odd = (
        "nan", "inf", "-1", "0x" + "F" * 5000, "0b1" + "0" * 5000, "1e999", "9" * 5000, "1979-05-27", "07:32:00", "[]",
        "[" * 5000, "{a = " * 500, "{}", '""', '"a\\nb"', '"\\u0000"', '"~nobody"', "true", "[1, 2]", "[nan, 1]",
        '["' + "x" * 5000 + '"]', "[[[]]]", "2147483648", "-9223372036854775808", "1_000", "0o7",
        '"' + "y" * 60_000 + '"',
    )  # fmt: skip
    kind = chance.randrange(8)
    if kind == 0:
        name = chance.choice(('"a\\nb"', '""', "a" + ".a" * 900, '"' + "k" * 9000 + '"', '"\\u001b[2J"', "[[a]]\nb"))
        lines.insert(chance.randrange(len(lines)), f"{name} = 1")
    elif kind == 1:
        lines.insert(
            chance.randrange(len(lines)), chance.choice(("[a" + ".a" * 900 + "]", "[[model]]", "[loss]", "[model]"))
        )
    else:
        lines[at] = f"{key} = {chance.choice(odd)}"
    return "\n".join([*lines, ""]).encode()


def odd_report(data: bytes, chance: random.Random) -> bytes:
    """A report with odd values; some of them are sealed as glot would."""
    text = odd_json(data.decode(), chance)
    try:
        report = json.loads(text)
        report.pop("seal", None)
        return sealed_json(report).encode()
    except (ValueError, RecursionError):
        return text.encode("utf-8", "surrogatepass")


ODD: dict[str, Callable[[bytes, random.Random], bytes]] = {
    ".npz": odd_archive,
    ".safetensors": odd_safetensors,
    ".pt": odd_checkpoint,
    ".pkl": odd_body,
    ".bvh": odd_bvh,
    ".toml": odd_toml,
    ".json": odd_report,
}
