"""A row for each file that make_torch_files.py writes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy
import torch
from torch_checkpoints import (
    Callback,
    Detector,
    OwnState,
    Slots,
    containers,
    cycle,
    detector_checkpoint,
    script,
    sharded,
    state_dict,
    subclass,
    trainer_checkpoint,
    training,
    wrapper,
)
from torch_tensors import (
    TYPED,
    UNTYPED,
    attributes,
    conjugated,
    empty,
    large,
    many,
    negated,
    nested,
    normal,
    numpy_values,
    of_2017,
    of_every_rank,
    packed,
    quantized,
    rebuilt,
    rebuilt_csr,
    rebuilt_v2,
    shared,
    small_floats,
    sparse,
    sparse_blocks,
    views,
)

V1, V2 = (1, 13), (2, 0)


@dataclass
class Case:
    """One object to be written."""

    name: str
    make: Callable[[], object]
    since: tuple = V1  # first PyTorch that can write it
    until: tuple = (99, 0)  # first PyTorch that cannot any more
    save: str = "zip"  # a row of make_torch_files.CONTAINERS
    may_refuse: str | None = None  # why a reader may decline this file; reading it wrongly is never allowed
    readable: bool = True  # PyTorch itself reads the file back


CASES = [
    *[Case(f"dtype_{d}", lambda d=d: of_every_rank(d)) for d in TYPED],
    *[Case(f"dtype_{d}", lambda d=d: of_every_rank(d), since=(2, 8)) for d in UNTYPED],
    *[Case(f"dtype_{d}_legacy", lambda d=d: of_every_rank(d), save="legacy") for d in TYPED],
    *[
        Case(
            f"dtype_{d}_legacy",
            lambda d=d: of_every_rank(d),
            since=(2, 8),
            save="legacy",
            readable=False,
            may_refuse="PyTorch cannot read its own untyped storages from this container",
        )
        for d in UNTYPED
    ],
    *[
        Case(f"{f.__name__}{suffix}", f, save=save)
        for f in (
            views,
            shared,
            empty,
            state_dict,
            training,
            containers,
            cycle,
            quantized,
            trainer_checkpoint,
            detector_checkpoint,
        )
        for suffix, save in (("", "zip"), ("_legacy", "legacy"))
    ],
    Case("bare_tensor", lambda: normal(2, 3)),
    Case("bare_list", lambda: [normal(2), {"w": normal(1)}]),
    Case(
        "parameters",
        lambda: {
            "w": torch.nn.Parameter(normal(3)),
            "frozen": torch.nn.Parameter(normal(2), requires_grad=False),
            "grad": normal(2).requires_grad_(),
        },
    ),
    Case(
        "buffers",
        lambda: {"w": torch.nn.Buffer(normal(3)), "q": torch.nn.Buffer(normal(2), persistent=False)},
        since=(2, 5),
    ),
    Case("attributes", attributes, since=V2),  # before, attributes were dropped
    Case("subclass", subclass),
    Case("wrapper_subclass", wrapper, since=(2, 1)),
    Case("whole_module", lambda: Detector()),
    Case("whole_module_builtin", lambda: torch.nn.TransformerEncoderLayer(8, 2, 16)),
    Case("own_state", lambda: {"a": OwnState(), "b": Callback(), "c": Slots()}),
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
    Case("quantized_4bit", lambda: {"w": packed(torch.quint4x2)}),
    Case("quantized_2bit", lambda: {"w": packed(torch.quint2x4)}),
    Case(
        "protocol0",
        small_floats,
        save="protocol0",
        readable=False,
        may_refuse="protocol 0 turns storage references into text",
    ),
    *[Case(f"protocol{p}", small_floats, save=f"protocol{p}") for p in (1, 2, 3, 4, 5)],
    *[Case(f"protocol{p}_legacy", small_floats, save=f"protocol{p}_legacy") for p in (1, 2, 3, 4, 5)],
    *[
        Case(
            f"plain_pickle{p}",
            lambda: {
                "w": normal(3),
                "view": normal(4, 4)[1:, ::2],
                "p": torch.nn.Parameter(normal(2)),
                "a": numpy.arange(3.0),
            },
            save=f"plain{p}",
        )
        for p in (2, 3, 4, 5)
    ],
    Case("deflated", small_floats, save="deflated"),
    Case("rezipped", small_floats, save="rezipped"),
    Case("to_buffer", small_floats, save="buffer"),
    Case("no_crc", small_floats, save="no_crc", since=(2, 8)),
    Case("alignment4096", small_floats, save="alignment4096", since=(2, 8)),
    Case("big_endian", small_floats, save="big_endian", since=(2, 1)),
    Case("tar", of_2017, save="tar"),
    Case("torchscript", script, save="torchscript"),
    Case(
        "distributed",
        lambda: {
            "model": {k: v for k, v in state_dict().items()},
            "step": torch.tensor(3),
            "epoch": 4,
            "half": normal(3, 4).half(),
        },
        save="distributed",
        since=(2, 2),
    ),
    Case("distributed_2_ranks", sharded, save="distributed_2_ranks", since=(2, 5)),
    Case("many_tensors", many),
    Case("large_128mb", large),
]
