#!/usr/bin/env python3
"""Write what PyTorch writes: every dtype, view, sharing, container, protocol and rebuilder that this version can.

  make_torch_files.py DIR [NAME ...]

DIR/NAME.pt (or .pkl, or a folder) and beside it NAME.json:
  {"file", "torch", "tensors": {name: {"dtype", "shape", "sha256"}}, "without_data": [name], "may_refuse": null or why}
DIR/index.json lists the names. Where PyTorch can read its own file back, the description is checked against that.
Runs under PyTorch 1.13 and 2.x. The random generator is seeded by the name: the same version writes the same tensors.
"""

import argparse
import io
import json
import pathlib
import pickle
import struct
import sys
import tarfile
import tempfile
import traceback
import warnings
import zipfile
import zlib

import torch

import torch_cases
import torch_expected

VERSION = tuple(int(p) for p in torch.__version__.split("+")[0].split(".")[:2] if p.isdigit())


def save_zip(obj, path, **options):
    torch.save(obj, path, **options)


def save_legacy(obj, path, **options):
    torch.save(obj, path, _use_new_zipfile_serialization=False, **options)


def save_buffer(obj, path):
    b = io.BytesIO()
    torch.save(obj, b)
    path.write_bytes(b.getvalue())


def save_plain(protocol):
    def save(obj, path):
        path.write_bytes(pickle.dumps(obj, protocol=protocol))

    return save


def rezip(method, change=lambda name, data: data, add=()):
    """Write the archive once more with another tool: no alignment, and whatever method says."""

    def save(obj, path):
        b = io.BytesIO()
        torch.save(obj, b)
        with zipfile.ZipFile(b) as src, zipfile.ZipFile(path, "w", method) as dst:
            for info in src.infolist():
                dst.writestr(info.filename, change(info.filename, src.read(info)))
            for name, data in add:
                dst.writestr(name, data)

    return save


def save_big_endian(obj, path):
    """Swap each storage by its item size and say so in byteorder, as a big-endian machine's PyTorch writes it."""
    items = [
        t.element_size() // (2 if t.is_complex() else 1) for t in obj.values()
    ]  # storages are numbered in this order

    def change(name, data):
        if name.endswith("/byteorder"):
            return b"big"
        if "/data/" not in name or "/.data/" in name:
            return data
        item = items[int(name.rsplit("/", 1)[1])]
        return b"".join(data[i : i + item][::-1] for i in range(0, len(data), item))

    rezip(zipfile.ZIP_STORED, change)(obj, path)


def save_with(**settings):
    def save(obj, path):
        from torch.utils.serialization import config

        before = {k: getattr(config.save, k) for k in settings}
        try:
            for k, v in settings.items():
                setattr(config.save, k, v)
            torch.save(obj, path)
        finally:
            for k, v in before.items():
                setattr(config.save, k, v)

    return save


def save_torchscript(obj, path):
    torch.jit.save(obj, str(path))


def save_distributed(obj, path):
    import torch.distributed.checkpoint as dcp

    dcp.save(obj, checkpoint_id=str(path))


def save_distributed_ranks(obj, path):
    """Each of two processes writes its shards: even keys by rows, odd ones by columns, vectors whole."""
    import torch.multiprocessing as mp

    with tempfile.TemporaryDirectory() as meeting:
        mp.spawn(save_rank, args=(2, f"file://{meeting}/ranks", obj, str(path)), nprocs=2)


def save_rank(rank, ranks, meeting, obj, path):
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=ranks)
    mesh = init_device_mesh("cpu", (ranks,))
    place = lambda i, t: Replicate() if t.dim() < 2 else Shard(i % 2)
    dcp.save({k: distribute_tensor(t, mesh, [place(i, t)]) for i, (k, t) in enumerate(obj.items())}, checkpoint_id=path)
    dist.destroy_process_group()


def save_tar(obj, path):
    """The container of PyTorch 0.1, which none of today's can write; legacy_load in torch/serialization.py reads it."""
    storages, tensors, numbers = [], [], {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, t):
            if not isinstance(t, torch.Tensor):
                return None
            s = t._typed_storage() if hasattr(t, "_typed_storage") else t.storage()
            key = numbers.setdefault(s.data_ptr() or id(t), 1000 + len(numbers))
            if key not in (k for k, _ in storages):
                storages.append((key, s))
            tensors.append((5000 + len(tensors), key, t))
            return tensors[-1][0]

    body = io.BytesIO()
    Pickler(body, 2).dump(obj)
    data, heads = io.BytesIO(), io.BytesIO()
    pickle.dump(len(storages), data, 2)
    for key, s in storages:
        kind = getattr(torch, s.pickle_storage_type())
        pickle.dump((key, "cpu", kind), data, 2)
        raw = torch.tensor([], dtype=s.dtype).set_(s).contiguous()
        data.write(struct.pack("<q", raw.numel()) + torch_expected.raw_bytes(raw))
    pickle.dump([], data, 2)
    pickle.dump(len(tensors), heads, 2)
    for number, key, t in tensors:
        pickle.dump((number, key, getattr(torch, t.type().split(".")[1])), heads, 2)
        heads.write(struct.pack(f"<ii{t.dim()}q{t.dim()}qq", t.dim(), 0, *t.shape, *t.stride(), t.storage_offset()))
    info = pickle.dumps(
        {"protocol_version": 1000, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}, 2
    )
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as tar:
        for name, b in (
            ("sys_info", info),
            ("pickle", body.getvalue()),
            ("tensors", heads.getvalue()),
            ("storages", data.getvalue()),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(b)
            tar.addfile(member, io.BytesIO(b))


def load_pickle(path):
    return pickle.loads(path.read_bytes())


def load_torch(path):
    options = {"weights_only": False} if VERSION >= (1, 13) else {}
    return torch.load(path, map_location="cpu", **options)


def load_distributed(path):
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.format_utils import _EmptyStateDictLoadPlanner
    from torch.distributed.checkpoint.state_dict_loader import _load_state_dict

    state = {}
    _load_state_dict(
        state, storage_reader=dcp.FileSystemReader(str(path)), planner=_EmptyStateDictLoadPlanner(), no_dist=True
    )
    return state


# name: (extension, save, load)
CONTAINERS = {
    "zip": (".pt", save_zip, load_torch),
    "legacy": (".pt", save_legacy, load_torch),
    "buffer": (".bin", save_buffer, load_torch),
    "deflated": (".pth", rezip(zipfile.ZIP_DEFLATED), load_torch),
    "rezipped": (".ckpt", rezip(zipfile.ZIP_STORED), load_torch),
    "big_endian": (".pt", save_big_endian, load_torch),
    "no_crc": (".pt", save_with(compute_crc32=False), load_torch),
    "alignment4096": (".pt", save_with(storage_alignment=4096), load_torch),
    "tar": (".pth", save_tar, load_torch),
    "torchscript": (".pt", save_torchscript, lambda path: torch.jit.load(str(path))),
    "distributed": ("", save_distributed, load_distributed),
    "distributed_2_ranks": ("", save_distributed_ranks, load_distributed),
    **{
        f"protocol{p}": (".pt", lambda obj, path, p=p: save_zip(obj, path, pickle_protocol=p), load_torch)
        for p in range(6)
    },
    **{
        f"protocol{p}_legacy": (".pt", lambda obj, path, p=p: save_legacy(obj, path, pickle_protocol=p), load_torch)
        for p in range(6)
    },
    **{f"plain{p}": (".pkl", save_plain(p), load_pickle) for p in range(6)},
}


def write(case, folder):
    extension, save, load = CONTAINERS[case.save]
    path = folder / (case.name + extension)
    torch.manual_seed(zlib.crc32(case.name.encode()))
    obj = case.make()
    tensors, without_data = torch_expected.describe(obj)
    assert tensors, case.name
    save(obj, path)
    if case.readable:
        again = torch_expected.describe(load(path))
        if again != (tensors, without_data):
            raise ValueError(f"PyTorch reads back something else:\n{differences(tensors, again[0])}")
    description = {
        "file": path.name,
        "torch": torch.__version__,
        "tensors": tensors,
        "without_data": without_data,
        "may_refuse": case.may_refuse,
    }
    (folder / (case.name + ".json")).write_text(json.dumps(description))


def differences(want, got):
    return "\n".join(
        f"  {n}: wrote {want.get(n)}, read {got.get(n)}" for n in sorted({*want, *got}) if want.get(n) != got.get(n)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    args.dir.mkdir(parents=True, exist_ok=True)
    cases = [c for c in torch_cases.CASES if c.since <= VERSION < c.until and (not args.names or c.name in args.names)]
    failed = []
    for case in cases:
        try:
            write(case, args.dir)
        except Exception:
            failed.append(f"{case.name}: {traceback.format_exc(limit=-3)}")
    if failed:
        sys.exit("\n".join(failed) + f"\nPyTorch {torch.__version__} failed on {len(failed)} of {len(cases)} files")
    (args.dir / "index.json").write_text(json.dumps([c.name for c in cases]))
    print(f"PyTorch {torch.__version__} wrote {len(cases)} files")


if __name__ == "__main__":
    main()
