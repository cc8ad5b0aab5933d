"""Checkpoints as programs leave them, with classes among the tensors that a reader has never heard of."""

import argparse
import collections
import datetime
import pathlib
import sys
import types

import torch
from torch_expected import Reduced
from torch_tensors import noise, normal


def state_dict():
    return torch.nn.Sequential(
        torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2, bias=False)
    ).state_dict()


def training():
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    for _ in range(2):
        model(normal(5, 4)).sum().backward()
        optimizer.step()
        schedule.step()
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": schedule.state_dict(),
        "epoch": 2,
        "rng": torch.get_rng_state(),
        "args": argparse.Namespace(lr=1e-3, name="run", path=pathlib.PurePosixPath("a/b")),
    }


def containers():
    default = collections.defaultdict(list)
    default["w"].append(normal(2))
    return {
        "list": [normal(2), [normal(3), normal(1)]],
        "tuple": (normal(2), (normal(1),)),
        3: normal(2),
        "ordered": collections.OrderedDict(a=normal(1), b=normal(2)),
        "default": default,
        "counter": collections.Counter("abca"),
        "set": {1, 2},
        "frozen": frozenset({"x"}),
        "bytes": b"\0\xff",
        "bytearray": bytearray(b"ab"),
        "none": None,
        "flags": [True, False],
        "big": 1 << 100,
        "negative": -(1 << 40),
        "float": float("inf"),
        "complex": 1 + 2j,
        "text": "ü 🙂\n",
        "slice": slice(1, None, 2),
        "namespace": argparse.Namespace(t=normal(2), n=1),
        "simple": types.SimpleNamespace(t=normal(1)),
        "path": pathlib.PurePosixPath("a") / "b",
        "when": datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc),
        "size": torch.Size([1, 2]),
        "device": torch.device("cpu"),
        "dtype": torch.float16,
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
    sys.modules[name].__file__ = __file__  # the legacy container stores the source of modules
    return sys.modules[name]


class Detector(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 4, 3)
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)])
        self.heads = torch.nn.ModuleDict({"box": torch.nn.Linear(4, 2)})
        self.act = torch.nn.functional.relu
        self.anchors = normal(3, 2)  # neither a parameter nor a buffer
        self.register_buffer("stride", torch.tensor([8.0, 16.0]))
        self.register_buffer("temporary", normal(2), persistent=False)
        self.register_parameter("absent", None)
        self.names = {0: "cat", 1: "dog"}


class Settings(dict):
    pass


class Callback:
    def __init__(self):
        self.best, self.history = normal(1), [1.0, 2.0]


class Slots:
    __slots__ = ("note", "weight")

    def __init__(self):
        self.weight, self.note = normal(3), "kept in slots"


class OwnState:
    def __init__(self):
        self.kept = normal(2)

    def __getstate__(self):
        return {"kept": self.kept, "version": 2}

    def __setstate__(self, state):
        self.__dict__.update(state)


class Subclass(torch.Tensor):
    pass


class Packed(torch.Tensor):
    """Has no storage of its own: the elements are in codes and scale."""

    @staticmethod
    def __new__(cls, codes, scale):
        return torch.Tensor._make_wrapper_subclass(cls, codes.shape, dtype=torch.float32)

    def __init__(self, codes, scale):
        self.codes, self.scale = codes, scale

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.detach.default:
            return args[0]
        raise NotImplementedError(func)


module("thirdparty.vision.tasks", Detector=Detector)
module("thirdparty.trainer.parsing", Settings=Settings)
module("thirdparty.trainer.callbacks", Callback=Callback, OwnState=OwnState, Slots=Slots)
module("thirdparty.tensors", Subclass=Subclass, Packed=Packed)


def trainer_checkpoint():
    net = Detector()
    return {
        "epoch": 4,
        "global_step": 100,
        "version": "2.1.0",
        "state_dict": collections.OrderedDict(("net." + k, v) for k, v in net.state_dict().items()),
        "callbacks": {
            "ModelCheckpoint{'mode': 'min'}": {
                "best_model_score": torch.tensor(0.5),
                "dirpath": pathlib.PurePosixPath("runs"),
            },
            "own": Callback(),
        },
        "optimizer_states": [training()["optimizer"]],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": Settings(lr=0.1, width=4),
    }


def detector_checkpoint():
    return {
        "epoch": -1,
        "model": Detector().half(),
        "ema": Detector(),
        "updates": 12,
        "train_args": {"imgsz": 640, "data": "coco.yaml"},
        "date": datetime.datetime(2024, 1, 2, 3, 4, 5),
        "license": "AGPL-3.0",
    }


def subclass():
    t = normal(2, 3).as_subclass(Subclass)
    t.scale = 0.5  # PyTorch 1.13 cannot read a subclass without attributes back
    rebuild = (
        torch._utils._rebuild_tensor_v2,
        Subclass,
        (
            t._typed_storage() if hasattr(t, "_typed_storage") else t.storage(),
            0,
            (2, 3),
            (3, 1),
            False,
            collections.OrderedDict(),
        ),
    )
    return {
        "subclass": t,
        "old": Reduced(torch._tensor._rebuild_from_type, (*rebuild, {"scale": 0.5}), t),
        "plain": normal(1),
    }


def wrapper():
    return {"packed": Packed(noise(torch.int8, 3, 4), normal(3)), "plain": normal(1)}


def sharded():
    return {
        "rows": normal(5, 3),
        "columns": normal(3, 6),
        "replicated": normal(4),
        "half": normal(8, 2).half(),
        "fewer_rows_than_ranks": normal(1, 4),
    }


def script():
    return torch.jit.script(
        torch.nn.Sequential(
            torch.nn.Conv1d(2, 3, 3), torch.nn.BatchNorm1d(3), torch.nn.Sequential(torch.nn.Linear(4, 2))
        )
    )
