"""What a reader has to find in an object that torch.save wrote: each tensor's dotted name, dtype, shape and the
SHA-256 of its elements, row-major and little-endian, worked out by PyTorch (and numpy) alone.

Names: dictionary keys and list indices joined by dots; attributes of objects by their names; the _parameters, _buffers
and _modules levels of a torch.nn.Module are left out; a lone tensor is called tensor. A quantized or sparse tensor
becomes its components.
"""

import hashlib
import sys

import numpy
import torch

DTYPES = {
    "float64": "f64",
    "float32": "f32",
    "float16": "f16",
    "bfloat16": "bf16",
    "int64": "i64",
    "int32": "i32",
    "int16": "i16",
    "int8": "i8",
    "uint8": "u8",
    "uint16": "u16",
    "uint32": "u32",
    "uint64": "u64",
    "bool": "bool",
    "complex32": "c32",
    "complex64": "c64",
    "complex128": "c128",
    "float8_e4m3fn": "f8_e4m3fn",
    "float8_e5m2": "f8_e5m2",
    "float8_e4m3fnuz": "f8_e4m3fnuz",
    "float8_e5m2fnuz": "f8_e5m2fnuz",
    "float8_e8m0fnu": "f8_e8m0fnu",
    "float4_e2m1fn_x2": "f4_e2m1fn_x2",
    "bits8": "bits8",
    "bits16": "bits16",
    "bits1x8": "bits1x8",
    "bits2x4": "bits2x4",
    "bits4x2": "bits4x2",
}

# Several values a byte, first value in the lowest bits: the shape counts values, the digest is of the bytes.
PACKED = {torch.quint4x2: "quint4x2", torch.quint2x4: "quint2x4"}

INTERNAL_ATTRIBUTES = {"_parameters", "_buffers", "_modules"}


def describe(obj):
    """Return {name: {"dtype", "shape", "sha256"}} and the names of tensors that have no elements anywhere (meta)."""
    tensors, without_data = {}, []
    for name, leaf in walk(obj, "", set()):
        name = name or "tensor"
        if isinstance(leaf, torch.Tensor) and (leaf.device.type == "meta" or wraps(leaf)):
            without_data.append(name)
            continue
        assert name not in tensors, f"two tensors are named {name}"
        tensors[name] = array(leaf) if isinstance(leaf, numpy.ndarray) else dense(leaf)
    return tensors, without_data


def wraps(t):
    """Whether t is a subclass that keeps its elements in attributes, as quantized and distributed ones do."""
    return getattr(type(t), "__torch_dispatch__", None) is not torch.Tensor.__torch_dispatch__


def walk(obj, prefix, above):
    """Yield (name, dense tensor or numpy array) in the order in which the object holds them."""
    if isinstance(obj, Reduced):
        obj = obj.value
    if isinstance(obj, torch.Tensor):
        yield from components(obj, prefix)
        for key, value in getattr(obj, "__dict__", {}).items():
            yield from walk(value, f"{prefix}.{key}", above)
        return
    if isinstance(obj, numpy.ndarray):
        if obj.dtype.kind in "fiubc":
            yield prefix, obj
        return
    if id(obj) in above:
        return
    above = above | {id(obj)}
    for key, value in children(obj):
        yield from walk(value, f"{prefix}.{key}" if prefix and key else prefix or key, above)


def children(obj):
    if isinstance(obj, dict):
        yield from ((str(k), v) for k, v in obj.items())
    elif isinstance(obj, (list, tuple)):
        yield from ((str(i), v) for i, v in enumerate(obj))
    elif isinstance(obj, torch.jit.ScriptModule):
        yield from obj.state_dict().items()
        return
    yield from ((key, getattr(obj, key)) for key in getattr(type(obj), "__slots__", ()) if hasattr(obj, key))
    if hasattr(obj, "__dict__") and not isinstance(obj, type) and not callable(getattr(obj, "__code__", None)):
        for key, value in vars(obj).items():
            if key == "_metadata":
                continue  # of an OrderedDict that is a state_dict: module versions
            yield "" if key in INTERNAL_ATTRIBUTES else key, value


def components(t, name):
    """Split a composite tensor into the dense ones that hold its data."""
    if t.is_quantized:
        yield name, t if t.dtype in PACKED else t.int_repr()
        if t.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            yield name + ".scales", torch.tensor([t.q_scale()], dtype=torch.float64)
            yield name + ".zero_points", torch.tensor([t.q_zero_point()], dtype=torch.int64)
        else:
            yield name + ".scales", t.q_per_channel_scales()
            yield name + ".zero_points", t.q_per_channel_zero_points()
    elif t.is_nested:
        yield name + ".values", t.values()
        yield name + ".sizes", t._nested_tensor_size()
        yield name + ".strides", t._nested_tensor_strides()
        yield name + ".offsets", t._nested_tensor_storage_offsets()
    elif t.layout == torch.sparse_coo:
        yield name + ".indices", t._indices()
        yield name + ".values", t._values()
    elif t.layout == torch.strided:
        yield name, t
    else:
        by_column = t.layout in (torch.sparse_csc, torch.sparse_bsc)
        outer, inner = ("ccol_indices", "row_indices") if by_column else ("crow_indices", "col_indices")
        yield f"{name}.{outer}", getattr(t, outer)()
        yield f"{name}.{inner}", getattr(t, inner)()
        yield f"{name}.values", t.values()


def dense(t):
    t = t.detach()
    if t.dtype in PACKED:
        return entry(PACKED[t.dtype], t.shape, raw_bytes(t.int_repr()))
    for bit in ("resolve_conj", "resolve_neg"):
        t = getattr(t, bit)()
    t = t.contiguous()
    dtype = str(t.dtype).split(".")[1]
    return entry(DTYPES[dtype], t.shape, raw_bytes(t))


def raw_bytes(t):
    """The bytes of a contiguous tensor."""
    return b"" if t.numel() == 0 else t.reshape(-1).view(torch.uint8).numpy().tobytes()


def array(a):
    a = numpy.ascontiguousarray(a).reshape(a.shape)
    return entry(DTYPES[a.dtype.newbyteorder("=").name], a.shape, a.astype(a.dtype.newbyteorder("<")).tobytes())


def entry(dtype, shape, data):
    assert sys.byteorder == "little"
    return {"dtype": dtype, "shape": list(shape), "sha256": hashlib.sha256(data).hexdigest()}


class Reduced:
    """Pickles as a call of function(*args), as another device or an older PyTorch would write value."""

    def __init__(self, function, args, value):
        self.function, self.args, self.value = function, args, value

    def __reduce__(self):
        return self.function, self.args
