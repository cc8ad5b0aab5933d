"""Writes pickles.json: what CPython's pickletools says about every opcode, and
about pickles of ordinary values in protocols 0 to 5.

    python3 make_pickles.py > pickles.json

Each pickle comes with the offset and name of every opcode (pickletools.genops)
and with every (module, name) that Python's own Unpickler asks for. Nothing that
is not listed below is ever loaded.
"""

import argparse
import base64
import collections
import copyreg
import dataclasses
import datetime
import enum
import functools
import io
import json
import pathlib
import pickle
import pickletools
import sys
import zlib


class Plain:
    def __init__(self):
        self.a, self.b = 1, [2]


class Slots:
    __slots__ = ("x", "y")

    def __init__(self):
        self.x, self.y = 1, "two"


class KeywordNew:
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __getnewargs_ex__(self):
        return (1, 2), {"three": 3}


class ListChild(list):
    pass


class DictChild(dict):
    pass


class Extension:
    pass


class Extension2:
    pass


class Extension4:
    pass


class Colour(enum.Enum):
    RED = 1


class Outer:
    class Inner:
        pass


@dataclasses.dataclass
class Data:
    name: str = "n"
    n: int = 3


Point = collections.namedtuple("Point", "x y")

copyreg.add_extension(__name__, "Extension", 0x12)
copyreg.add_extension(__name__, "Extension2", 0x1234)
copyreg.add_extension(__name__, "Extension4", 0x12345678)


def loops():
    inside_list = []
    inside_list.append(inside_list)
    inside_dict = {}
    inside_dict["self"] = inside_dict
    inside_object = Plain()
    inside_object.me = inside_object
    inside_tuple = ([],)
    inside_tuple[0].append(inside_tuple)
    return [inside_list, inside_dict, inside_object, inside_tuple]


def deep(n):
    v = []
    for _ in range(n):
        v = [v]
    return v


shared = ["shared"]
VALUES = {
    "none": None,
    "bools": [True, False],
    "ints": [0, 1, -1, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -(2**31), 2**63, -(2**63), 2**64, -(2**100), 2**2030],
    "floats": [0.0, -0.0, 1.5, 1e300, float("inf"), float("-inf"), float("nan")],
    "strings": ["", "a", "é", "日本", "😀", "a\nb", "back\\slash", "'quoted'", '"', "\x00", "\udc80", "x" * 300],
    "bytes": [b"", b"a", bytes(range(256)), b"y" * 300],
    "bytearray": bytearray(b"0123"),
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), tuple(range(300))],
    "list": list(range(30)),
    "dict": {str(i): i for i in range(30)},
    "large list": list(range(1100)),
    "large dict": {str(i): i for i in range(1100)},
    "large set": set(range(1100)),
    "sets": [set(), {1, "a"}, {b"bytes"}, frozenset(), frozenset({1, 2})],
    "ordered": collections.OrderedDict(a=1, b=[2]),
    "defaultdict": collections.defaultdict(list, a=[1]),
    "counter": collections.Counter("hello"),
    "deque": collections.deque([1, 2], 5),
    "complex": 1 + 2j,
    "object": Plain(),
    "slots": Slots(),
    "keywords": KeywordNew(),
    "list subclass": ListChild([1, 2]),
    "dict subclass": DictChild(a=1),
    "enum": Colour.RED,
    "dataclass": Data(),
    "namedtuple": Point(1, 2),
    "class": Plain,
    "nested class": Outer.Inner,
    "function": deep,
    "builtin": len,
    "partial": functools.partial(int, base=2),
    "namespace": argparse.Namespace(lr=1e-3, name="run"),
    "path": pathlib.PurePosixPath("a/b"),
    "dates": [datetime.datetime(2020, 1, 2, 3, 4, 5), datetime.date(2020, 1, 2), datetime.timedelta(1, 2)],
    "extensions": [Extension, Extension2, Extension4],
    "shared": [shared, shared, (shared, shared)],
    "loops": loops(),
    "deep": deep(200),
    "large string": "z" * 70000,
    "large bytes": b"z" * 70000,
    "many strings": ["s%d" % i * 100 for i in range(300)],
    "ellipsis": [..., NotImplemented, type(None)],
    "range": [range(3), slice(1, 2, 3)],
    "mixed keys": {1: 1, 1.5: 2, None: 3, (1, 2): 4, b"b": 5, "s": 6},
}

# Values that are longer than one batch of APPENDS or SETITEMS, or one frame.
LARGE = {"large list", "large dict", "large set", "large string", "large bytes", "many strings"}

# Values that older protocols cannot express.
FIRST_PROTOCOL = {"slots": 2, "keywords": 2, "nested class": 4}

# Pickles that today's Python does not write: Python 2's, and legal oddities.
BY_HAND = {
    "py2 long zero": b"\x80\x02\x8a\x00.",
    "py2 long4 zero": b"\x80\x02\x8b\x00\x00\x00\x00.",
    "py2 long4": b"\x80\x02\x8b\x02\x00\x00\x00\x01\x01.",
    "py2 instance": b"(i__main__\nPlain\np0\n(dp1\nS'a'\np2\nI1\nsb.",
    "py2 class with arguments": b"(c__main__\nPlain\no.",
    "py2 string escapes": b"(lp0\nS'a\\x41\\n\\'\\\\'\np1\naS\"it's\"\na.",
    "py2 unicode escapes": b"(lp0\nVa\\u00e9\\U0001f600\np1\na.",
    "py2 binstring": b"]q\x00(U\x01aT\x02\x00\x00\x00bce.",
    "py2 list opcodes": b"(I1\nI01\nI00\nL5L\nF1.5\nlp0\n.",
    "py2 tuple": b"(I1\nI2\nt.",
    "py2 dict": b"(S'a'\nI1\nS'b'\nI2\nd.",
    "pop and dup": b"(K\x01K\x020K\x0320200].",
    "pop mark": b"(K\x01K\x021].",
    "pop of a mark": b"(0].",
    "persistent text": b"(Pstorage 1\nPstorage 2\nl.",
    "put and get as text": b"(lp100\n0g100\n.",
    "long memo ids": b"]r\x00\x01\x00\x000j\x00\x01\x00\x00.",
    "no protocol byte with protocol 4 opcodes": b"\x8c\x01a\x94.",
    "two frames": b"\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00]\x95\x01\x00\x00\x00\x00\x00\x00\x00.",
    "empty frame": b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00].",
    "protocol 0 declared": b"\x80\x00].",
}


class Recorder(pickle.Unpickler):
    """Records what a pickle imports; persistent ids stay what they are."""

    def __init__(self, file, buffers):
        super().__init__(file, buffers=buffers)
        self.asked = []

    def find_class(self, module, name):
        if [module, name] not in self.asked:
            self.asked.append([module, name])
        return super().find_class(module, name)

    def persistent_load(self, pid):
        return pid


class PersistentPickler(pickle.Pickler):
    def persistent_id(self, obj):
        return ("storage", Plain, "0", "cpu", 4) if isinstance(obj, Plain) else None


def describe(name, proto, data, buffers=None, load=True):
    copyreg._extension_cache.clear()
    asked = []
    if load:
        recorder = Recorder(io.BytesIO(data), buffers)
        recorder.load()
        asked = [a for a in recorder.asked if proto < 2 or not a[1].startswith("Extension")]
    ops = [f"{pos}:{op.name}" for op, _, pos in pickletools.genops(data)]
    return {
        "name": name,
        "proto": proto,
        "pickle": base64.b64encode(zlib.compress(data, 9)).decode(),
        "ops": base64.b64encode(zlib.compress(" ".join(ops).encode(), 9)).decode(),
        "globals": asked,
    }


def main():
    out = []
    for name, value in VALUES.items():
        for proto in range(6):
            if name in LARGE and proto not in (2, 4):
                continue
            if proto < FIRST_PROTOCOL.get(name, 0):
                continue
            out.append(describe(name, proto, pickle.dumps(value, proto)))
    for proto in range(1, 6):
        buf = io.BytesIO()
        PersistentPickler(buf, proto).dump([Plain(), Plain()])
        out.append(describe("persistent", proto, buf.getvalue()))
    for name in ("ordered", "strings", "shared", "dict"):
        out.append(describe(name + " optimized", 4, pickletools.optimize(pickle.dumps(VALUES[name], 4))))
    for source in (b"read-only", bytearray(b"writable")):
        buffers = []
        data = pickle.dumps(pickle.PickleBuffer(source), 5, buffer_callback=buffers.append)
        out.append(describe("out of band " + type(source).__name__, 5, data, buffers))
    for name, data in BY_HAND.items():
        out.append(describe(name, -1, data))
    opcodes = [
        {"name": op.name, "code": ord(op.code), "proto": op.proto, "arg": op.arg.name if op.arg else ""}
        for op in pickletools.opcodes
    ]
    json.dump({"python": sys.version.split()[0], "opcodes": opcodes, "pickles": out}, sys.stdout, indent=0)
    print()


main()
