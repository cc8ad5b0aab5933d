"""The objects that make_torch_files.py writes: a row per file."""
import argparse
import collections
import datetime
import pathlib
import sys
import types
from dataclasses import dataclass
from typing import Callable, Optional

import numpy
import torch

from torch_expected import Reduced

V1, V2 = (1, 13), (2, 0)


@dataclass
class Case:
    """One object to be written."""

    name: str
    make: Callable[[], object]
    since: tuple = V1              # first PyTorch that can write it
    until: tuple = (99, 0)         # first PyTorch that cannot any more
    save: str = "zip"              # a row of make_torch_files.CONTAINERS
    may_refuse: Optional[str] = None   # why a reader may decline this file; reading it wrongly is never allowed
    readable: bool = True          # PyTorch itself reads the file back


def noise(dtype, *shape):
    """Random bytes as dtype: every bit pattern, NaN payloads and infinities among them."""
    if dtype is torch.bool:
        return torch.randint(0, 2, shape, dtype=torch.uint8).bool()
    item = torch.empty(0, dtype=dtype).element_size()
    n = item
    for d in shape:
        n *= d
    return torch.randint(0, 256, (n,), dtype=torch.uint8).view(dtype).reshape(shape)


def normal(*shape):
    return torch.randn(*shape)


TYPED = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64", "complex128"]
UNTYPED = ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2",
           "uint16", "uint32", "uint64", "complex32", "bits8", "bits16"]


def of_every_rank(dtype):
    t = getattr(torch, dtype)
    return {"scalar": noise(t, 1)[0], "vector": noise(t, 7), "matrix": noise(t, 3, 5), "four": noise(t, 2, 3, 4, 5), "empty": noise(t, 0, 4)}


def views():
    base, tail = normal(6, 8), normal(10)
    image = normal(2, 3, 4, 5)
    return {
        "base": base, "rows": base[1:4], "columns": base[:, 2:7], "every_second": base[::2, ::3],
        "transposed": base.t(), "permuted": image.permute(3, 0, 2, 1), "channels_last": image.contiguous(memory_format=torch.channels_last),
        "diagonal": base.diagonal(), "offset": tail[3:], "last": tail[9], "past_the_end": tail[10:],
        "expanded": normal(1, 4).expand(5, 4), "expanded_scalar": normal(1)[0].expand(3, 2), "windows": tail.unfold(0, 4, 2),
        "overlapping": torch.as_strided(tail, (4, 3), (1, 2), 1), "reinterpreted": base.view(-1)[5:29].view(2, 3, 4),
    }


def shared():
    w, buffer = normal(4, 4), normal(32)
    return {"tied": w, "tied_again": w, "tied_transposed": w.t(), "front": buffer[:20], "back": buffer[12:], "nested": {"tied": w}}


def empty():
    z = torch.zeros(0)
    return {"zero": z, "zero_rows": torch.zeros(0, 3), "zero_columns": torch.zeros(3, 0), "zero_inside": torch.zeros(2, 0, 3),
            "slice": normal(4)[2:2], "scalar": torch.tensor(2.5), "one": torch.tensor([2.5])}


def state_dict():
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2, bias=False)).state_dict()


def training():
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    for _ in range(2):
        model(normal(5, 4)).sum().backward()
        optimizer.step()
        schedule.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": schedule.state_dict(), "epoch": 2,
            "rng": torch.get_rng_state(), "args": argparse.Namespace(lr=1e-3, name="run", path=pathlib.PurePosixPath("a/b"))}


def containers():
    default = collections.defaultdict(list)
    default["w"].append(normal(2))
    return {
        "list": [normal(2), [normal(3), normal(1)]], "tuple": (normal(2), (normal(1),)), 3: normal(2), "ordered": collections.OrderedDict(a=normal(1), b=normal(2)),
        "default": default, "counter": collections.Counter("abca"), "set": {1, 2}, "frozen": frozenset({"x"}), "bytes": b"\0\xff", "bytearray": bytearray(b"ab"),
        "none": None, "flags": [True, False], "big": 1 << 100, "negative": -(1 << 40), "float": float("inf"), "complex": 1 + 2j, "text": "ü 🙂\n", "slice": slice(1, None, 2),
        "namespace": argparse.Namespace(t=normal(2), n=1), "simple": types.SimpleNamespace(t=normal(1)), "path": pathlib.PurePosixPath("a") / "b",
        "when": datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc), "size": torch.Size([1, 2]), "device": torch.device("cpu"), "dtype": torch.float16,
    }


def cycle():
    d = {"w": normal(2)}
    d["self"] = d
    d["list"] = [d, normal(1)]
    return d


def module(name, **classes):
    """Register a module that the reader has never heard of, so that its classes pickle by reference."""
    parent = ""
    for part in name.split("."):
        parent = f"{parent}.{part}" if parent else part
        sys.modules.setdefault(parent, types.ModuleType(parent))
    for key, cls in classes.items():
        cls.__module__, cls.__qualname__, cls.__name__ = name, key, key
        setattr(sys.modules[name], key, cls)
    return sys.modules[name]


class _Detector(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 4, 3)
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)])
        self.heads = torch.nn.ModuleDict({"box": torch.nn.Linear(4, 2)})
        self.act = torch.nn.functional.relu
        self.anchors = normal(3, 2)                 # neither a parameter nor a buffer
        self.register_buffer("stride", torch.tensor([8.0, 16.0]))
        self.register_buffer("temporary", normal(2), persistent=False)
        self.register_parameter("absent", None)
        self.names = {0: "cat", 1: "dog"}


class _Settings(dict):
    pass


class _Callback:
    def __init__(self):
        self.best, self.history = normal(1), [1.0, 2.0]


class _Slots:
    __slots__ = ("weight", "note")

    def __init__(self):
        self.weight, self.note = normal(3), "kept in slots"


class _OwnState:
    def __init__(self):
        self.kept = normal(2)

    def __getstate__(self):
        return {"kept": self.kept, "version": 2}

    def __setstate__(self, state):
        self.__dict__.update(state)


class _Subclass(torch.Tensor):
    pass


module("thirdparty.vision.tasks", Detector=_Detector)
module("thirdparty.trainer.parsing", Settings=_Settings)
module("thirdparty.trainer.callbacks", Callback=_Callback, OwnState=_OwnState, Slots=_Slots)
module("thirdparty.tensors", Subclass=_Subclass)


def trainer_checkpoint():
    net = _Detector()
    return {"epoch": 4, "global_step": 100, "version": "2.1.0", "state_dict": collections.OrderedDict(("net." + k, v) for k, v in net.state_dict().items()),
            "callbacks": {"ModelCheckpoint{'mode': 'min'}": {"best_model_score": torch.tensor(0.5), "dirpath": pathlib.PurePosixPath("runs")}, "own": _Callback()},
            "optimizer_states": [training()["optimizer"]], "lr_schedulers": [], "hparams_name": "kwargs", "hyper_parameters": _Settings(lr=0.1, width=4)}


def detector_checkpoint():
    return {"epoch": -1, "model": _Detector().half(), "ema": _Detector(), "updates": 12, "train_args": {"imgsz": 640, "data": "coco.yaml"},
            "date": datetime.datetime(2024, 1, 2, 3, 4, 5), "license": "AGPL-3.0"}


def attributes():
    t = normal(2, 2)
    t.note = "a tensor with an attribute"
    p = torch.nn.Parameter(normal(3))
    p.tensor_parallel_axis = 0
    return {"tensor": t, "parameter": p}


def quantized():
    x = normal(4, 6)
    scales, zeros = torch.rand(4, dtype=torch.float64) + 0.1, torch.arange(4)
    return {
        "qint8": torch.quantize_per_tensor(x, 0.1, 3, torch.qint8), "quint8": torch.quantize_per_tensor(x, 0.2, 128, torch.quint8),
        "qint32": torch.quantize_per_tensor(x, 0.001, 0, torch.qint32), "per_channel": torch.quantize_per_channel(x, scales, zeros, 0, torch.qint8),
        "per_column": torch.quantize_per_channel(x, torch.rand(6, dtype=torch.float64) + 0.1, torch.zeros(6, dtype=torch.int64), 1, torch.quint8),
        "transposed": torch.quantize_per_tensor(x, 0.1, 0, torch.qint8).t(),
    }


def grid():
    return torch.tensor([[0.0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 4], [0, 0, 5, 0]])


def sparse():
    uncoalesced = torch.sparse_coo_tensor(torch.tensor([[0, 0, 1], [1, 1, 2]]), normal(3), (2, 3))
    short = torch.sparse_csr_tensor(torch.tensor([0, 1, 2], dtype=torch.int32), torch.tensor([1, 0], dtype=torch.int32), normal(2), (2, 2))
    return {"coo": grid().to_sparse().coalesce(), "uncoalesced": uncoalesced, "hybrid": torch.sparse_coo_tensor(torch.tensor([[1, 3]]), normal(2, 5), (4, 5)),
            "none": torch.sparse_coo_tensor((3, 4)), "csr": grid().to_sparse_csr(), "csr_int32": short}


def sparse_blocks():
    return {"csc": grid().to_sparse_csc(), "bsr": grid().to_sparse_bsr((2, 2)), "bsc": grid().to_sparse_bsc((2, 2))}


def conjugated():
    z = torch.view_as_complex(normal(3, 4, 2))
    wide = z.to(torch.complex128)
    return {"plain": z, "conj": z.conj(), "conj_view": z.conj()[1:, ::2].t(), "conj_wide": wide.conj(), "conj_twice": wide.conj().conj()}


def negated():
    z = torch.view_as_complex(normal(3, 4, 2))
    return {"neg": z.conj().imag, "neg_view": z.conj().imag[1:, ::2].t()}


def numpy_values():
    a = numpy.arange(24, dtype="<f4").reshape(2, 3, 4)
    return {"c": a, "fortran": numpy.asfortranarray(a[0] * 2), "big_endian": a.astype(">f8"), "scalar_array": numpy.array(2.5), "empty": numpy.zeros((0, 3), "<i2"),
            "slice": a[:, 1:, ::2], "half": a.astype("<f2"), "int8": a.astype("i1"), "uint64": a.astype("<u8"), "bool": a > 3, "complex": a.astype("<c8"),
            "number": numpy.float64(1.5), "count": numpy.int64(3), "flag": numpy.bool_(True), "name": numpy.str_("x"), "dtype": numpy.dtype("<f4")}


def rebuilt():
    """Calls that other devices and older versions write. The storages are this PyTorch's own."""
    t, n = normal(3, 4), numpy.arange(6, dtype="<f4").reshape(2, 3)
    storage = t.storage() if not hasattr(t, "_typed_storage") else t._typed_storage()
    u = torch._utils
    return {
        "v1": Reduced(u._rebuild_tensor, (storage, 4, (2, 3), (4, 1)), torch.as_strided(t, (2, 3), (4, 1), 4)),
        "v2": Reduced(u._rebuild_tensor_v2, (storage, 1, (3, 2), (4, 2), True, collections.OrderedDict()), torch.as_strided(t, (3, 2), (4, 2), 1)),
        "device_from_numpy": Reduced(u._rebuild_device_tensor_from_numpy, (n, torch.float32, "cpu", False), torch.from_numpy(n)),
        "device_from_numpy_bf16": Reduced(u._rebuild_device_tensor_from_numpy, (n, torch.bfloat16, "cpu", False), torch.from_numpy(n).bfloat16()),
        "xla": Reduced(u._rebuild_xla_tensor, (n, torch.float32, "cpu", False), torch.from_numpy(n)),
    }


def rebuilt_v2():
    t, bits = normal(3, 4), noise(torch.uint8, 24)
    u, hooks = torch._utils, collections.OrderedDict()
    return {
        "device_from_cpu": Reduced(u._rebuild_device_tensor_from_cpu_tensor, (t, torch.float32, "cpu", False), t),
        "v3": Reduced(u._rebuild_tensor_v3, (bits.untyped_storage(), 2, (2, 3), (4, 1), False, hooks, torch.int16),
                      torch.as_strided(bits.view(torch.int16), (2, 3), (4, 1), 2)),
    }


def rebuilt_csr():
    t = grid().to_sparse_csr()
    return {"w": Reduced(torch._utils._rebuild_sparse_csr_tensor, (torch.sparse_csr, (t.crow_indices(), t.col_indices(), t.values(), t.size())), t)}


def subclass():
    t = normal(2, 3).as_subclass(_Subclass)
    t.scale = 0.5           # PyTorch 1.13 cannot read a subclass without attributes back
    rebuild = (torch._utils._rebuild_tensor_v2, _Subclass, (t._typed_storage() if hasattr(t, "_typed_storage") else t.storage(), 0, (2, 3), (3, 1), False, collections.OrderedDict()))
    return {"subclass": t, "old": Reduced(torch._tensor._rebuild_from_type, (*rebuild, {"scale": 0.5}), t), "plain": normal(1)}


def nested():
    return {"w": torch.nested.nested_tensor([normal(2, 3), normal(1, 3)])}


def many():
    return collections.OrderedDict((f"layers.{i // 10}.part{i % 10}.weight", torch.full((2, 3), float(i))) for i in range(10000))


def large():
    block = torch.randn(1 << 20)
    return {f"blk.{i}.weight": block.roll(i).reshape(1024, 1024) for i in range(32)}


def small_floats():
    return {"w": normal(3, 4), "half": normal(5).half(), "int": torch.arange(6).reshape(2, 3), "flag": torch.tensor([True, False, True]), "view": normal(4, 4)[1:, ::2],
            "double": normal(3).double(), "complex": torch.view_as_complex(normal(3, 2)), "byte": noise(torch.uint8, 9), "brain": normal(3).bfloat16()}


def of_2017():
    """What PyTorch 0.1 had: no bool, bfloat16 or complex numbers."""
    base = normal(4, 4)
    return {"rows": base[1:3], "transposed": base.t(), "offset": base[2, 1:], "whole": base, "double": normal(3).double(), "half": normal(5).half(), "long": noise(torch.int64, 3),
            "int": noise(torch.int32, 2, 2), "short": noise(torch.int16, 5), "char": noise(torch.int8, 3), "byte": noise(torch.uint8, 9), "nested": [{"w": base}]}


def sharded():
    return {"rows": normal(5, 3), "columns": normal(3, 6), "replicated": normal(4), "half": normal(8, 2).half(), "fewer_rows_than_ranks": normal(1, 4)}


def script():
    return torch.jit.script(torch.nn.Sequential(torch.nn.Conv1d(2, 3, 3), torch.nn.BatchNorm1d(3), torch.nn.Sequential(torch.nn.Linear(4, 2))))


CASES = [
    *[Case(f"dtype_{d}", lambda d=d: of_every_rank(d)) for d in TYPED],
    *[Case(f"dtype_{d}", lambda d=d: of_every_rank(d), since=(2, 8)) for d in UNTYPED],
    *[Case(f"dtype_{d}_legacy", lambda d=d: of_every_rank(d), save="legacy") for d in TYPED],
    *[Case(f"dtype_{d}_legacy", lambda d=d: of_every_rank(d), since=(2, 8), save="legacy", readable=False,
           may_refuse="PyTorch cannot read its own untyped storages from this container") for d in UNTYPED],
    *[Case(f"{f.__name__}{suffix}", f, save=save) for f in (views, shared, empty, state_dict, training, containers, cycle, quantized, trainer_checkpoint, detector_checkpoint)
      for suffix, save in (("", "zip"), ("_legacy", "legacy"))],
    Case("bare_tensor", lambda: normal(2, 3)),
    Case("bare_list", lambda: [normal(2), {"w": normal(1)}]),
    Case("parameters", lambda: {"w": torch.nn.Parameter(normal(3)), "frozen": torch.nn.Parameter(normal(2), requires_grad=False), "grad": normal(2).requires_grad_()}),
    Case("buffers", lambda: {"w": torch.nn.Buffer(normal(3)), "q": torch.nn.Buffer(normal(2), persistent=False)}, since=(2, 5)),
    Case("attributes", attributes),
    Case("subclass", subclass),
    Case("whole_module", lambda: _Detector()),
    Case("whole_module_builtin", lambda: torch.nn.TransformerEncoderLayer(8, 2, 16)),
    Case("own_state", lambda: {"a": _OwnState(), "b": _Callback(), "c": _Slots()}),
    Case("sparse", sparse),
    Case("sparse_blocks", sparse_blocks, since=V2),
    Case("meta", lambda: {"nowhere": torch.empty(3, 4, device="meta"), "here": normal(2)}),
    Case("conjugated", conjugated, since=V2),
    Case("negated", negated, since=V2),
    Case("nested", nested, since=V2),
    Case("rebuilt", rebuilt),
    Case("rebuilt_v2", rebuilt_v2, since=(2, 6)),
    Case("rebuilt_csr", rebuilt_csr, until=V2),
    Case("numpy", numpy_values),
    Case("numpy_protocol4", numpy_values, save="protocol4"),
    Case("numpy_protocol5", numpy_values, save="protocol5"),
    Case("quantized_4bit", lambda: {"w": torch.quantize_per_channel(normal(3, 8), torch.rand(3) + 0.1, torch.rand(3), 0, torch.quint4x2)},
         may_refuse="two values a byte have no dtype outside PyTorch"),
    Case("protocol0", small_floats, save="protocol0", readable=False, may_refuse="protocol 0 turns storage references into text"),
    *[Case(f"protocol{p}", small_floats, save=f"protocol{p}") for p in (1, 2, 3, 4, 5)],
    *[Case(f"protocol{p}_legacy", small_floats, save=f"protocol{p}_legacy") for p in (1, 2, 3, 4, 5)],
    *[Case(f"plain_pickle{p}", lambda: {"w": normal(3), "view": normal(4, 4)[1:, ::2], "p": torch.nn.Parameter(normal(2)), "a": numpy.arange(3.0)}, save=f"plain{p}") for p in (2, 3, 4, 5)],
    Case("deflated", small_floats, save="deflated"),
    Case("rezipped", small_floats, save="rezipped"),
    Case("to_buffer", small_floats, save="buffer"),
    Case("no_crc", small_floats, save="no_crc", since=(2, 8)),
    Case("alignment4096", small_floats, save="alignment4096", since=(2, 8)),
    Case("big_endian", small_floats, save="big_endian", since=(2, 1)),
    Case("tar", of_2017, save="tar"),
    Case("torchscript", script, save="torchscript"),
    Case("distributed", lambda: {"model": {k: v for k, v in state_dict().items()}, "step": torch.tensor(3), "epoch": 4, "half": normal(3, 4).half()}, save="distributed", since=(2, 2)),
    Case("distributed_2_ranks", sharded, save="distributed_2_ranks", since=(2, 5)),
    Case("many_tensors", many),
    Case("large_128mb", large),
]
