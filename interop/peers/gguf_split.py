#!/usr/bin/env python3
"""Write a GGUF again with the gguf package (ggml-org/llama.cpp, gguf-py), as shards of at most N tensors.

  gguf_split.py IN.gguf OUT.gguf N

The shards are called OUT-00001-of-00003.gguf and so on. Metadata and tensors are copied as they are.
"""

import sys

from gguf import GGUFReader, GGUFValueType, GGUFWriter


def main():
    source, target, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
    reader = GGUFReader(source)
    arch = reader.fields["general.architecture"].contents()
    writer = GGUFWriter(target, arch, split_max_tensors=most)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value = field.contents()
        if field.types[0] == GGUFValueType.ARRAY:
            writer.add_key_value(name, value, GGUFValueType.ARRAY, sub_type=field.types[-1])
        else:
            writer.add_key_value(name, value, field.types[0])
    for t in reader.tensors:
        writer.add_tensor(t.name, t.data, raw_dtype=t.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
