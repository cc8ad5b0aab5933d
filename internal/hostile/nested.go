package hostile

import (
	"strings"
	"unicode/utf8"
)

// evil is a whole pickle that runs a program.
var evil = proto(2) + runs + "."

// nested hide a harmful pickle inside something else.
func nested() []Case {
	load := func(b string) string { return reduce(global("torch.storage", "_load_from_bytes"), data(b)) }
	evilLegacy := ordinary()
	evilLegacy.object = evil
	deep := evil
	for range 4 {
		deep = proto(2) + reduce(global("torch.storage", "_load_from_bytes"), data(deep)) + "."
	}
	member := func(name, contents string) func() []byte {
		return func() []byte {
			return checkpoint(state(whole), storage("0", fourBytes), entry{name: name, data: []byte(contents)}, version).bytes()
		}
	}
	zipOf := func(name string, b []byte) []byte { return archive{entries: []entry{{name: name, data: b}}}.bytes() }
	return []Case{
		danger("load_from_bytes", "torch.load of a byte string that holds a harmful legacy file", load(string(evilLegacy.bytes()))),
		danger("load_from_bytes_zip", "torch.load of a byte string that holds a harmful zip checkpoint", load(string(torch(evil)))),
		danger("load_from_latin1", "the byte string is encoded text", reduce(global("torch.storage", "_load_from_bytes"), reduce(global("_codecs", "encode"), str(asText(evil)), str("latin1")))),
		danger("load_from_bytearray", "the byte string is a bytearray", reduce(global("torch.storage", "_load_from_bytes"), "\x96"+le64(uint64(len(evil)))+evil)),
		danger("loads_inside", "pickle.loads of a byte string", reduce(global("pickle", "loads"), data(evil))),
		danger("dill_inside", "dill.loads of a byte string", reduce(global("dill._dill", "loads"), data(evil))),
		danger("unknown_loader", "an unknown function gets a pickle as bytes", reduce(global("mypackage", "from_bytes"), data(evil))),
		danger("nested_twice", "a pickle in a pickle in a pickle", load(proto(2)+load(evil)+".")),
		{Name: "nested_too_deep.pt", What: "pickles nested five deep", Make: pt(beside(load(deep))), Scan: "unreadable", Read: Refused},
		{Name: "nested_truncated.pt", What: "the pickle inside is cut off", Make: pt(beside(load(evil[:len(evil)-20]))), Scan: "unreadable", Read: Refused},
		{Name: "nested_ordinary.pt", What: "a nested legacy file of the ordinary tensor", Make: pt(proto(2) + dict(str("w"), load(string(ordinary().bytes()))) + "."), Scan: "safe", Read: Right, Tensors: nil},
		{Name: "nested_many.pkl", Heavy: true, What: "the same byte string loaded 100,000 times", Make: func() []byte {
			return repeat(proto(2)+data(string(ordinary().bytes()))+"q\x000]", global("torch.storage", "_load_from_bytes")+"h\x00\x85Ra", 100_000, ".")
		}, Scan: "safe", Read: Refused},
		{Name: "second_pickle.pkl", What: "a harmful pickle behind a harmless one", Make: text(proto(2) + num(1) + "." + evil), Scan: "dangerous", Read: Refused},
		{Name: "second_pickle_text.pkl", What: "a harmful pickle of protocol 0 behind a harmless one", Make: text(proto(2) + num(1) + "." + "cos\nsystem\n(S'echo'\ntR."), Scan: "dangerous", Read: Refused},
		{Name: "second_pickle_in_zip.pt", What: "a second pickle behind STOP in data.pkl", Make: pt(state(whole) + evil), Scan: "dangerous", Read: Refused},
		{Name: "bytes_after_stop.pkl", What: "bytes that are no pickle behind STOP", Make: text(state(num(1)) + "\xffgarbage"), Scan: "unreadable", Read: Refused},
		{Name: "legacy_hostile_keys.pt", What: "the fifth pickle of a legacy file is harmful", Make: func() []byte { l := ordinary(); l.keys = evil; return l.bytes() }, Scan: "dangerous", Read: Danger},
		{Name: "legacy_hostile_system.pt", What: "the third pickle of a legacy file is harmful", Make: func() []byte { l := ordinary(); l.system = evil; return l.bytes() }, Scan: "dangerous", Read: Danger},
		{Name: "legacy_magic_computed.pt", What: "the magic number of a legacy file comes from a call", Make: func() []byte {
			l := ordinary()
			l.magic = proto(2) + reduce(global("builtins", "eval"), str("0x1950a86a20f9469cfc6c")) + "."
			return l.bytes()
		}, Scan: "dangerous", Read: Danger},
		{Name: "object_array.npy", What: "a NumPy array of objects, which is a pickle", Make: text(npy("|O", evil)), Scan: "dangerous", Read: Refused},
		{Name: "object_array.npz", What: "the same in an archive of arrays", Make: func() []byte { return zipOf("a.npy", []byte(npy("|O", evil))) }, Scan: "dangerous", Read: Refused},
		{Name: "structured_array.npy", What: "objects in a field of a structured array", Make: text(npy("[('a', '|O')]", evil)), Scan: "dangerous", Read: Refused},
		{Name: "number_array.npy", What: "a NumPy array of numbers", Make: text(npy("<f4", string(fourBytes))), Scan: "safe", Read: Refused},
		{Name: "debug_pkl.pt", What: "a harmful pickle in TorchScript's debug information", Make: member("archive/code/__torch__.py.debug_pkl", evil), Scan: "dangerous", Read: Right, Tensors: ordinaryTensor},
		{Name: "constants_pkl.pt", What: "a harmful pickle in TorchScript's constants", Make: member("archive/constants.pkl", evil), Scan: "dangerous", Read: Danger},
		{Name: "attributes_pkl.pt", What: "a harmful pickle in attributes.pkl", Make: member("archive/attributes.pkl", evil), Scan: "dangerous", Read: Right, Tensors: ordinaryTensor},
		{Name: "readme_txt.pt", What: "a harmful pickle in a member that is called a text", Make: member("archive/README.txt", evil), Scan: "dangerous", Read: Right, Tensors: ordinaryTensor},
		{Name: "readme_protocol_0.pt", What: "the same in protocol 0, which starts like text", Make: member("archive/README.txt", "cos\nsystem\n(S'echo'\ntR."), Scan: "dangerous", Read: Right, Tensors: ordinaryTensor},
		{Name: "storage_is_pickle.pt", What: "a storage that is a harmful pickle", Make: func() []byte {
			return checkpoint(state(whole), storage("0", fourBytes), storage("1", []byte(evil)), version).bytes()
		}, Scan: "dangerous", Read: Right, Tensors: ordinaryTensor},
		{Name: "storage_starts_like_pickle.pt", What: "a storage whose numbers start like a pickle, and are none", Make: func() []byte {
			return checkpoint(state(whole), storage("0", fourBytes), storage("1", []byte("\x80\x02c\x9f\x33\x00\x01\x02")), version).bytes()
		}, Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "zip_in_zip.pt", What: "a harmful checkpoint inside an archive", Make: member("archive/extra/model.pt", string(torch(evil))), Scan: "dangerous", Read: Right, Tensors: ordinaryTensor},
		{Name: "zip_in_zip_in_zip.zip", What: "archives nested too deep to be followed", Make: func() []byte {
			b := torch(evil)
			for range 4 {
				b = zipOf("inner.zip", b)
			}
			return b
		}, Scan: "unreadable", Read: Refused},
		{Name: "harmless_extension.txt.zip", What: "a harmful pickle under a harmless extension", Make: func() []byte { return zipOf("notes.md", []byte(evil)) }, Scan: "dangerous", Read: Refused},
		{Name: "tar_of_checkpoint.tar", What: "a harmful checkpoint in a tar", Make: func() []byte { return tarOf(map[string]string{"model.pt": string(torch(evil))}) }, Scan: "dangerous", Read: Refused},
		{Name: "tar_hostile.pth", What: "PyTorch's tar format with a harmful object", Make: func() []byte { return tarCheckpoint(evil) }, Scan: "dangerous", Read: Danger},
		{Name: "tar_hostile_storages.pth", What: "PyTorch's tar format with a harmful pickle behind a storage", Make: func() []byte {
			f := tarFiles(proto(2) + dict(str("w"), tensorRef) + ".")
			f["storages"] += evil
			return tarOf(f)
		}, Scan: "dangerous", Read: Refused},
	}
}

// text returns a file of s.
func text(s string) func() []byte { return func() []byte { return []byte(s) } }

// asText returns bytes as the text of which they are the Latin-1 encoding.
func asText(b string) string {
	var s strings.Builder
	for i := range len(b) {
		s.Write(utf8.AppendRune(nil, rune(b[i])))
	}
	return s.String()
}

// npy is an .npy file of version 1.
func npy(descr, data string) string {
	if !strings.HasPrefix(descr, "[") {
		descr = "'" + descr + "'"
	}
	head := "{'descr': " + descr + ", 'fortran_order': False, 'shape': (1,), }"
	head += strings.Repeat(" ", 63-(10+len(head))%64) + "\n"
	return "\x93NUMPY\x01\x00" + le16(len(head)) + head + data
}
