"""Writes an importance matrix for the layers of a GGUF, in the format of llama-imatrix.

make_imatrix.py MODEL.gguf IMATRIX.gguf

The values are made up, squares of normal numbers from a fixed seed, over several orders of magnitude, as those of real
models are; one column in a hundred is zero, and of a stack of matrices the second was never used.
"""

import sys

import numpy
from gguf import GGUFReader, GGUFWriter

ROWS = 512  # of text that the sums stand for


def main():
    model, target = sys.argv[1:]
    random = numpy.random.default_rng(7)
    writer = GGUFWriter(target, arch="")
    writer.kv_data[0].clear()  # llama-imatrix writes no architecture
    writer.add_string("general.type", "imatrix")
    writer.add_array("imatrix.datasets", ["made up"])
    writer.add_uint32("imatrix.chunk_count", 3)
    writer.add_uint32("imatrix.chunk_size", 512)
    for t in sorted(GGUFReader(model).tensors, key=lambda t: t.name):
        if not t.name.startswith("blk.") or len(t.shape) < 2:
            continue
        shape = (int(t.shape[2]) if len(t.shape) > 2 else 1, int(t.shape[0]))
        sums = random.standard_normal(shape) ** 2 * 10 ** random.uniform(-3, 3, shape) * ROWS
        sums[random.random(shape) < 0.01] = 0
        counts = numpy.full((shape[0], 1), ROWS)
        sums[1:2], counts[1:2] = 0, 0
        writer.add_tensor(t.name + ".in_sum2", sums.astype(numpy.float32))
        writer.add_tensor(t.name + ".counts", counts.astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
