"""Tensors of every kind that torch.save writes: dtypes, views, sharing, composites, rebuilders."""

import collections

import numpy
import torch
from torch_expected import Reduced


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


TYPED = [
    "float64",
    "float32",
    "float16",
    "bfloat16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "bool",
    "complex64",
    "complex128",
]
UNTYPED = [
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float4_e2m1fn_x2",
    "uint16",
    "uint32",
    "uint64",
    "complex32",
    "bits8",
    "bits16",
]


def of_every_rank(dtype):
    t = getattr(torch, dtype)
    return {
        "scalar": noise(t, 1)[0],
        "vector": noise(t, 7),
        "matrix": noise(t, 3, 5),
        "four": noise(t, 2, 3, 4, 5),
        "empty": noise(t, 0, 4),
    }


def views():
    base, tail = normal(6, 8), normal(10)
    image = normal(2, 3, 4, 5)
    return {
        "base": base,
        "rows": base[1:4],
        "columns": base[:, 2:7],
        "every_second": base[::2, ::3],
        "transposed": base.t(),
        "permuted": image.permute(3, 0, 2, 1),
        "channels_last": image.contiguous(memory_format=torch.channels_last),
        "diagonal": base.diagonal(),
        "offset": tail[3:],
        "last": tail[9],
        "past_the_end": tail[10:],
        "expanded": normal(1, 4).expand(5, 4),
        "expanded_scalar": normal(1)[0].expand(3, 2),
        "windows": tail.unfold(0, 4, 2),
        "overlapping": torch.as_strided(tail, (4, 3), (1, 2), 1),
        "reinterpreted": base.view(-1)[5:29].view(2, 3, 4),
    }


def shared():
    w, buffer = normal(4, 4), normal(32)
    return {
        "tied": w,
        "tied_again": w,
        "tied_transposed": w.t(),
        "front": buffer[:20],
        "back": buffer[12:],
        "nested": {"tied": w},
    }


def empty():
    z = torch.zeros(0)
    return {
        "zero": z,
        "zero_rows": torch.zeros(0, 3),
        "zero_columns": torch.zeros(3, 0),
        "zero_inside": torch.zeros(2, 0, 3),
        "slice": normal(4)[2:2],
        "scalar": torch.tensor(2.5),
        "one": torch.tensor([2.5]),
    }


def attributes():
    t = normal(2, 2)
    t.note = "a tensor with attributes"
    t.scale = normal(1)
    p = torch.nn.Parameter(normal(3))
    p.tensor_parallel_axis = 0
    return {"tensor": t, "parameter": p}


def quantized():
    x = normal(4, 6)
    scales, zeros = torch.rand(4, dtype=torch.float64) + 0.1, torch.arange(4)
    return {
        "qint8": torch.quantize_per_tensor(x, 0.1, 3, torch.qint8),
        "quint8": torch.quantize_per_tensor(x, 0.2, 128, torch.quint8),
        "qint32": torch.quantize_per_tensor(x, 0.001, 0, torch.qint32),
        "per_channel": torch.quantize_per_channel(x, scales, zeros, 0, torch.qint8),
        "per_column": torch.quantize_per_channel(
            x, torch.rand(6, dtype=torch.float64) + 0.1, torch.zeros(6, dtype=torch.int64), 1, torch.quint8
        ),
        "transposed": torch.quantize_per_tensor(x, 0.1, 0, torch.qint8).t(),
    }


def packed(dtype):
    return torch.quantize_per_channel(normal(3, 8), torch.rand(3) + 0.1, torch.rand(3), 0, dtype)


def grid():
    return torch.tensor([[0.0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 4], [0, 0, 5, 0]])


def sparse():
    uncoalesced = torch.sparse_coo_tensor(torch.tensor([[0, 0, 1], [1, 1, 2]]), normal(3), (2, 3))
    short = torch.sparse_csr_tensor(
        torch.tensor([0, 1, 2], dtype=torch.int32), torch.tensor([1, 0], dtype=torch.int32), normal(2), (2, 2)
    )
    return {
        "coo": grid().to_sparse().coalesce(),
        "uncoalesced": uncoalesced,
        "hybrid": torch.sparse_coo_tensor(torch.tensor([[1, 3]]), normal(2, 5), (4, 5)),
        "none": torch.sparse_coo_tensor((3, 4)),
        "csr": grid().to_sparse_csr(),
        "csr_int32": short,
    }


def sparse_blocks():
    return {"csc": grid().to_sparse_csc(), "bsr": grid().to_sparse_bsr((2, 2)), "bsc": grid().to_sparse_bsc((2, 2))}


def conjugated():
    z = torch.view_as_complex(normal(3, 4, 2))
    wide = z.to(torch.complex128)
    return {
        "plain": z,
        "conj": z.conj(),
        "conj_view": z.conj()[1:, ::2].t(),
        "conj_wide": wide.conj(),
        "conj_twice": wide.conj().conj(),
    }


def negated():
    z = torch.view_as_complex(normal(3, 4, 2))
    return {"neg": z.conj().imag, "neg_view": z.conj().imag[1:, ::2].t()}


def numpy_values():
    a = numpy.arange(24, dtype="<f4").reshape(2, 3, 4)
    return {
        "c": a,
        "fortran": numpy.asfortranarray(a[0] * 2),
        "big_endian": a.astype(">f8"),
        "scalar_array": numpy.array(2.5),
        "empty": numpy.zeros((0, 3), "<i2"),
        "slice": a[:, 1:, ::2],
        "half": a.astype("<f2"),
        "int8": a.astype("i1"),
        "uint64": a.astype("<u8"),
        "bool": a > 3,
        "complex": a.astype("<c8"),
        "number": numpy.float64(1.5),
        "count": numpy.int64(3),
        "flag": numpy.bool_(True),
        "name": numpy.str_("x"),
        "dtype": numpy.dtype("<f4"),
    }


def rebuilt():
    """Calls that other devices and older versions write. The storages are this PyTorch's own."""
    t, n = normal(3, 4), numpy.arange(6, dtype="<f4").reshape(2, 3)
    storage = t.storage() if not hasattr(t, "_typed_storage") else t._typed_storage()
    u = torch._utils
    return {
        "v1": Reduced(u._rebuild_tensor, (storage, 4, (2, 3), (4, 1)), torch.as_strided(t, (2, 3), (4, 1), 4)),
        "v2": Reduced(
            u._rebuild_tensor_v2,
            (storage, 1, (3, 2), (4, 2), True, collections.OrderedDict()),
            torch.as_strided(t, (3, 2), (4, 2), 1),
        ),
        "device_from_numpy": Reduced(
            u._rebuild_device_tensor_from_numpy, (n, torch.float32, "cpu", False), torch.from_numpy(n)
        ),
        "device_from_numpy_bf16": Reduced(
            u._rebuild_device_tensor_from_numpy, (n, torch.bfloat16, "cpu", False), torch.from_numpy(n).bfloat16()
        ),
        "xla": Reduced(u._rebuild_xla_tensor, (n, torch.float32, "cpu", False), torch.from_numpy(n)),
    }


def rebuilt_v2():
    t, bits = normal(3, 4), noise(torch.uint8, 24)
    u, hooks = torch._utils, collections.OrderedDict()
    return {
        "device_from_cpu": Reduced(u._rebuild_device_tensor_from_cpu_tensor, (t, torch.float32, "cpu", False), t),
        "v3": Reduced(
            u._rebuild_tensor_v3,
            (bits.untyped_storage(), 2, (2, 3), (4, 1), False, hooks, torch.int16),
            torch.as_strided(bits.view(torch.int16), (2, 3), (4, 1), 2),
        ),
    }


def rebuilt_csr():
    t = grid().to_sparse_csr()
    return {
        "w": Reduced(
            torch._utils._rebuild_sparse_csr_tensor,
            (torch.sparse_csr, (t.crow_indices(), t.col_indices(), t.values(), t.size())),
            t,
        )
    }


def nested():
    return {"w": torch.nested.nested_tensor([normal(2, 3), normal(1, 3)])}


def many():
    return collections.OrderedDict(
        (f"layers.{i // 10}.part{i % 10}.weight", torch.full((2, 3), float(i))) for i in range(10000)
    )


def large():
    block = torch.randn(1 << 20)
    return {f"blk.{i}.weight": block.roll(i).reshape(1024, 1024) for i in range(32)}


def small_floats():
    return {
        "w": normal(3, 4),
        "half": normal(5).half(),
        "int": torch.arange(6).reshape(2, 3),
        "flag": torch.tensor([True, False, True]),
        "view": normal(4, 4)[1:, ::2],
        "double": normal(3).double(),
        "complex": torch.view_as_complex(normal(3, 2)),
        "byte": noise(torch.uint8, 9),
        "brain": normal(3).bfloat16(),
    }


def of_2017():
    """What PyTorch 0.1 had: no bool, bfloat16 or complex numbers."""
    base = normal(4, 4)
    return {
        "rows": base[1:3],
        "transposed": base.t(),
        "offset": base[2, 1:],
        "whole": base,
        "double": normal(3).double(),
        "half": normal(5).half(),
        "long": noise(torch.int64, 3),
        "int": noise(torch.int32, 2, 2),
        "short": noise(torch.int16, 5),
        "char": noise(torch.int8, 3),
        "byte": noise(torch.uint8, 9),
        "nested": [{"w": base}],
    }
