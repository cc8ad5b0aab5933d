package hostile

import "strings"

// tensors are checkpoints whose tensors do not fit their storages, or fit them
// in ways that readers have got wrong.
func tensors() []Case {
	storageOf := func(b []byte) func() []byte {
		return func() []byte { return checkpoint(state(whole), storage("0", b), version).bytes() }
	}
	view := func(name, what string, offset int64, size, stride string) Case {
		return Case{Name: name + ".pt", What: what, Make: pt(state(rebuild(four.String(), num(offset), size, stride))), Scan: "safe", Read: Refused}
	}
	right := func(name, what string, offset int64, size, stride string, want ...float32) Case {
		c := view(name, what, offset, size, stride)
		c.Read, c.Tensors = Right, map[string][]float32{"w": want}
		return c
	}
	numel := func(name, what, n string) Case {
		s := tuple(str("storage"), global("torch", "FloatStorage"), str("0"), str("cpu"), n) + "Q"
		return Case{Name: name + ".pt", What: what, Make: pt(state(rebuild(s, num(0), ints(4), ints(1)))), Scan: "safe", Read: Refused}
	}
	key := func(name, what, k string) Case {
		return Case{Name: name + ".pt", What: what, Make: pt(state(rebuild(stored{"FloatStorage", k, 4}.String(), num(0), ints(4), ints(1)))), Scan: "safe", Read: Refused}
	}
	name := func(file, what, n string) Case {
		return Case{Name: file + ".pt", What: what, Make: pt(proto(2) + dict(str(n), whole) + "."), Scan: "safe", Read: Right}
	}
	legacyWith := func(file, what string, change func(*legacy)) Case {
		return Case{Name: file + ".pt", What: what, Make: func() []byte { l := ordinary(); change(&l); return l.bytes() }, Scan: "safe", Read: Refused}
	}
	quantized := func(file, what, scheme string, read string) Case {
		q := reduce(global("torch._utils", "_rebuild_qtensor"), stored{"QInt8Storage", "0", 16}.String(), num(0), ints(4, 4), ints(4, 1), scheme, "\x89", ordered)
		return Case{Name: file + ".pt", What: what, Make: pt(state(q)), Scan: "safe", Read: read}
	}
	perChannel := func(scales string, axis int64) string {
		return tuple(global("torch", "per_channel_affine"), scales, scales, num(axis))
	}
	sparse := func(file, what, args string) Case {
		return Case{Name: file + ".pt", What: what, Make: pt(state(reduce(global("torch._utils", "_rebuild_sparse_tensor"), global("torch.serialization", "_get_layout")+tuple(str("torch.sparse_coo"))+"R", args))), Scan: "safe", Read: Refused}
	}
	const huge = 1 << 62
	return []Case{
		{Name: "ordinary.pt", What: "nothing: the ordinary tensor", Make: pt(state(whole)), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "ordinary_legacy.pt", What: "nothing: the ordinary tensor in the legacy format", Make: func() []byte { return ordinary().bytes() }, Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "ordinary_tar.pth", What: "nothing: the ordinary tensor in the tar format", Make: func() []byte { return tarCheckpoint(proto(2) + dict(str("w"), tensorRef) + ".") }, Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "record_short.pt", What: "a storage of fewer bytes than the pickle says: other readers give stale memory or zeros", Make: storageOf(fourBytes[:8]), Scan: "safe", Read: Refused},
		{Name: "record_long.pt", What: "a storage of more bytes than the pickle says", Make: storageOf(append(fourBytes[:16:16], 0, 0, 0, 0)), Scan: "safe", Read: Refused},
		{Name: "record_empty.pt", What: "a storage of no bytes", Make: storageOf(nil), Scan: "safe", Read: Refused},
		numel("numel_negative", "a storage of -1 elements", num(-1)),
		numel("numel_2_50", "a storage of 2^50 elements", num(1<<50)),
		numel("numel_wraps", "a number of elements whose bytes wrap around to 4", num(0x4000000000000001)),
		numel("numel_big", "a number of elements of 20 bytes", "\x8a\x14"+strings.Repeat("\x7f", 20)),
		numel("numel_float", "a number of elements that is a float", "G\x40\x10\x00\x00\x00\x00\x00\x00"),
		numel("numel_text", "a number of elements that is text", str("4")),
		numel("numel_none", "no number of elements", "N"),
		view("size_past_end", "five elements of a storage of four", 0, ints(5), ints(1)),
		view("offset_past_end", "an offset past the storage", 5, ints(1), ints(1)),
		view("offset_and_size", "an offset that leaves too few elements", 1, ints(4), ints(1)),
		view("offset_negative", "a negative offset", -1, ints(4), ints(1)),
		view("offset_huge", "an offset whose bytes wrap around", huge, ints(4), ints(1)),
		view("size_negative", "a negative size", 0, ints(-4), ints(1)),
		view("size_two_negative", "two negative sizes, whose product fits", 0, ints(-2, -2), ints(2, 1)),
		view("size_overflow", "sizes whose product wraps around to 4", 0, ints(1<<33, 1<<31+1), ints(0, 0)),
		view("stride_past_end", "a stride past the storage", 0, ints(2), ints(4)),
		view("stride_negative", "a negative stride", 3, ints(4), ints(-1)),
		view("stride_huge", "a stride whose bytes wrap around", 0, ints(2), ints(huge)),
		view("stride_zero_2_40", "one element repeated 2^40 times", 0, ints(1<<40), ints(0)),
		view("rank_mismatch", "two sizes and one stride", 0, ints(2, 2), ints(1)),
		view("rank_many", "a tensor of 70 dimensions", 0, ints(ones(70)...), ints(ones(70)...)),
		view("size_text", "a size that is text", 0, tuple(str("4")), ints(1)),
		view("size_none", "no size", 0, "N", "N"),
		right("transposed", "a transposed view: readers that ignore strides scramble it", 0, ints(2, 2), ints(1, 2), 1, 3, 2, 4),
		right("offset_view", "a view that starts inside the storage: readers that ignore the offset shift it", 2, ints(2), ints(1), 3, 4),
		right("every_second", "every second element", 0, ints(2), ints(2), 1, 3),
		right("expanded", "one element, four times", 1, ints(4), ints(0), 2, 2, 2, 2),
		right("scalar", "a tensor of no dimensions", 3, ")", ")", 4),
		right("no_elements", "a tensor of no elements, at the end of the storage", 4, ints(0, 3), ints(3, 1)),
		right("no_elements_odd_stride", "a tensor of no elements with a stride past the storage", 0, ints(0), ints(1<<40)),
		key("key_slash", "a storage key that leaves its folder", "../version"),
		key("key_pickle", "a storage key that names the pickle", "../data.pkl"),
		key("key_dot_dot", "a storage key of two dots", ".."),
		key("key_absolute", "a storage key that is an absolute path", "/etc/passwd"),
		key("key_empty", "an empty storage key", ""),
		key("key_nul", "a storage key with a NUL", "0\x00"),
		{Name: "two_dtypes.pt", What: "two types over one storage, which do not agree on its length", Make: pt(proto(2) + dict(str("w"), whole, str("x"), rebuild(stored{"DoubleStorage", "0", 4}.String(), num(0), ints(4), ints(1))) + "."), Scan: "safe", Read: Refused},
		{Name: "two_numels.pt", What: "one storage under two lengths", Make: pt(proto(2) + dict(str("w"), whole, str("x"), rebuild(stored{"FloatStorage", "0", 2}.String(), num(0), ints(2), ints(1))) + "."), Scan: "safe", Read: Refused},
		{Name: "storage_class_elsewhere.pt", What: "a storage class of another module, which one loader accepts by its name", Make: pt(state(rebuild(tuple(str("storage"), global("mymodule", "FloatStorage"), str("0"), str("cpu"), num(4))+"Q", num(0), ints(4), ints(1)))), Scan: "unknown", Read: Refused},
		{Name: "storage_class_text.pt", What: "a storage class that is text", Make: pt(state(rebuild(tuple(str("storage"), str("FloatStorage"), str("0"), str("cpu"), num(4))+"Q", num(0), ints(4), ints(1)))), Scan: "safe", Read: Refused},
		{Name: "storage_short_tuple.pt", What: "a persistent id of three parts", Make: pt(state(rebuild(tuple(str("storage"), global("torch", "FloatStorage"), str("0"))+"Q", num(0), ints(4), ints(1)))), Scan: "safe", Read: Refused},
		{Name: "storage_is_tensor.pt", What: "a tensor in the place of a storage", Make: pt(state(rebuild(whole, num(0), ints(4), ints(1)))), Scan: "safe", Read: Refused},
		name("name_newline", "a tensor name with a newline", "w\nx"),
		name("name_escape_sequence", "a tensor name that clears the terminal", "w\x1b[2J"),
		name("name_nul_byte", "a tensor name with a NUL", "w\x00x"),
		name("name_is_empty", "a tensor without a name", ""),
		{Name: "name_1_mb.pt", What: "a tensor name of a megabyte", Make: pt(proto(2) + dict(str(strings.Repeat("w", 1<<20)), whole) + "."), Scan: "safe", Read: Refused},
		{Name: "name_collision.pt", What: "two paths that join to one name", Make: pt(proto(2) + dict(str("a.b"), whole, str("a"), dict(str("b"), whole)) + "."), Scan: "safe", Read: Right},
		{Name: "surrogate_name.pt", What: "a tensor name that is half a surrogate pair", Make: pt(proto(2) + dict(str("w\xed\xa0\x80"), whole) + "."), Scan: "safe", Read: Right},
		quantized("quantized_ordinary", "a quantized tensor as it should be", tuple(global("torch", "per_tensor_affine"), "G\x3f\xb9\x99\x99\x99\x99\x99\x9a", num(3)), Right),
		quantized("quantized_axis", "an axis that is no dimension", perChannel(whole, 7), Refused),
		quantized("quantized_axis_negative", "a negative axis", perChannel(whole, -3), Refused),
		quantized("quantized_scales", "three scales for four channels", perChannel(rebuild(four.String(), num(0), ints(3), ints(1)), 0), Refused),
		quantized("quantized_scheme", "a scheme that is a number", tuple(num(1), num(2), num(3)), Refused),
		quantized("quantized_short", "quantizer parameters of one part", tuple(global("torch", "per_tensor_affine")), Refused),
		{Name: "quantized_past_end.pt", What: "a quantized tensor past its storage", Make: pt(state(reduce(global("torch._utils", "_rebuild_qtensor"), stored{"QInt8Storage", "0", 16}.String(), num(0), ints(5, 4), ints(4, 1), tuple(global("torch", "per_tensor_affine"), num(1), num(0)), "\x89", ordered))), Scan: "safe", Read: Refused},
		sparse("sparse_shapes", "sparse indices and values of different counts", tuple(rebuild(stored{"LongStorage", "0", 2}.String(), num(0), ints(1, 2), ints(2, 1)), rebuild(four.String(), num(0), ints(4), ints(1)), ints(9))),
		sparse("sparse_rank", "sparse indices of three dimensions for a size of one", tuple(whole, whole, ints(9))),
		sparse("sparse_no_parts", "a sparse tensor of no parts", ")"),
		sparse("sparse_numbers", "a sparse tensor of numbers", ints(1, 2, 3)),
		{Name: "unknown_device.pt", What: "a storage on a device that does not exist: it is read like any other", Make: pt(state(rebuild(tuple(str("storage"), global("torch", "FloatStorage"), str("0"), str("qpu:7"), num(4))+"Q", num(0), ints(4), ints(1)))), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "conjugated_float.pt", What: "a conjugate bit on real numbers, and a negative bit: minus the elements", Make: pt(state(reduce(global("torch._utils", "_rebuild_tensor_v2"), four.String(), num(0), ints(4), ints(1), "\x89", ordered, dict(str("neg"), "\x88")))), Scan: "safe", Read: Right, Tensors: map[string][]float32{"w": {-1, -2, -3, -4}}},
		{Name: "metadata_unknown.pt", What: "a metadata entry that changes the elements in a way that is not known", Make: pt(state(reduce(global("torch._utils", "_rebuild_tensor_v2"), four.String(), num(0), ints(4), ints(1), "\x89", ordered, dict(str("bitwise_not"), "\x88")))), Scan: "safe", Read: Refused},
		{Name: "dtype_unknown.pt", What: "a dtype that does not exist", Make: pt(state(reduce(global("torch._utils", "_rebuild_tensor_v3"), tuple(str("storage"), global("torch.storage", "UntypedStorage"), str("0"), str("cpu"), num(16))+"Q", num(0), ints(4), ints(1), "\x89", ordered, global("torch", "float7")))), Scan: "unknown", Read: Refused},
		legacyWith("legacy_numel", "a legacy storage whose count is another one in the file", func(l *legacy) { l.tail = le64(3) + string(fourBytes) }),
		legacyWith("legacy_numel_huge", "a legacy storage of 2^60 elements", func(l *legacy) { l.tail = le64(1<<60) + string(fourBytes) }),
		legacyWith("legacy_numel_negative", "a legacy storage of -1 elements", func(l *legacy) { l.tail = le64(1<<64-1) + string(fourBytes) }),
		legacyWith("legacy_truncated", "a legacy file that ends in its last storage: other readers give stale memory", func(l *legacy) { l.tail = l.tail[:len(l.tail)-6] }),
		legacyWith("legacy_no_storages", "a legacy file without its storages", func(l *legacy) { l.tail = "" }),
		legacyWith("legacy_other_key", "a list of storage keys that names another one", func(l *legacy) { l.keys = proto(2) + list(str("7")) + "." }),
		legacyWith("legacy_key_twice", "a list that names a key twice", func(l *legacy) { l.keys = proto(2) + list(str("0"), str("0")) + "."; l.tail += l.tail }),
		legacyWith("legacy_version", "a legacy file of a version that does not exist", func(l *legacy) { l.version = proto(2) + num(77) + "." }),
		{Name: "legacy_big_endian.pt", What: "a legacy file of a big-endian machine", Make: func() []byte {
			l := ordinary()
			l.system = proto(2) + dict(str("protocol_version"), num(1001), str("little_endian"), "\x89") + "."
			l.tail = le64(4) + string(swapped(fourBytes))
			return l.bytes()
		}, Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "dcp_escape", What: "a distributed checkpoint that points out of its folder", Folder: func() map[string][]byte { return distributed("../../etc/passwd", 0, 0, 4) }, Scan: "safe", Read: Refused},
		{Name: "dcp_missing_chunk", What: "a distributed checkpoint without half of a tensor", Folder: func() map[string][]byte { return distributed("__0_0.distcp", 0, 0, 8) }, Scan: "safe", Read: Refused},
		{Name: "dcp_past_end", What: "a distributed checkpoint whose chunk lies past its file", Folder: func() map[string][]byte { return distributed("__0_0.distcp", 1<<40, 0, 4) }, Scan: "safe", Read: Refused},
		{Name: "dcp_chunk_outside", What: "a chunk that lies outside its tensor", Folder: func() map[string][]byte { return distributed("__0_0.distcp", 0, 2, 4) }, Scan: "safe", Read: Refused},
		{Name: "dcp_overlap", What: "two chunks over the same elements", Folder: func() map[string][]byte { return distributed("__0_0.distcp", 0, 0, 6, 2) }, Scan: "safe", Read: Refused},
		{Name: "dcp_ordinary", What: "nothing: the ordinary tensor as a distributed checkpoint", Folder: func() map[string][]byte { return distributed("__0_0.distcp", 0, 0, 4) }, Scan: "safe", Read: Right, Tensors: ordinaryTensor},
	}
}

func ones(n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

// distributed is a folder of torch.distributed.checkpoint with the tensor "w" of
// size elements, of which one chunk of four elements at offset is stored, at a
// byte of a file, and the same again at each offset of more
// (torch/distributed/checkpoint/metadata.py).
func distributed(file string, at, offset, size int64, more ...int64) map[string][]byte {
	const length = 4
	object := func(class string, fields ...string) string {
		return global("torch.distributed.checkpoint."+class[:strings.LastIndexByte(class, '.')], class[strings.LastIndexByte(class, '.')+1:]) + ")\x81" + dict(fields...) + "b"
	}
	torchSize := func(n int64) string { return reduce(global("torch", "Size"), ints(n)) }
	properties := object("metadata.TensorProperties", str("dtype"), global("torch", "float32"), str("layout"), global("torch", "strided"), str("requires_grad"), "\x89", str("memory_format"), "N", str("pin_memory"), "\x89")
	member := checkpoint(proto(2)+whole+".", storage("0", fourBytes), version).bytes()
	var chunks, stored []string
	for _, offset := range append([]int64{offset}, more...) {
		chunks = append(chunks, object("metadata.ChunkStorageMetadata", str("offsets"), torchSize(offset), str("sizes"), torchSize(length)))
		stored = append(stored,
			object("metadata.MetadataIndex", str("fqn"), str("w"), str("offset"), torchSize(offset), str("index"), num(0)),
			object("filesystem._StorageInfo", str("relative_path"), str(file), str("offset"), num(at), str("length"), num(int64(len(member)))))
	}
	meta := object("metadata.TensorStorageMetadata", str("properties"), properties, str("size"), torchSize(size), str("chunks"), list(chunks...))
	top := object("metadata.Metadata", str("state_dict_metadata"), dict(str("w"), meta), str("planner_data"), "N", str("storage_data"), dict(stored...))
	return map[string][]byte{".metadata": []byte(proto(2) + top + "."), "__0_0.distcp": member}
}
