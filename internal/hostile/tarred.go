package hostile

import (
	"archive/tar"
	"bytes"
	"maps"
	"slices"
)

// tarOf is a tar of files, in the order of their names.
func tarOf(files map[string]string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))}); err != nil {
			panic(err)
		}
		w.Write([]byte(files[name])) //nolint:errcheck // into memory
	}
	w.Close()
	return b.Bytes()
}

// tensorRef refers to the tensor of key 20 in PyTorch's tar format.
const tensorRef = "K\x14Q"

// tarFiles are the members of PyTorch's tar format (before 0.2) for the ordinary
// tensor, with a pickle of an object.
func tarFiles(object string) map[string]string {
	return map[string]string{
		"sys_info": proto(2) + dict(str("protocol_version"), num(1000), str("little_endian"), "\x88") + ".",
		"pickle":   object,
		"storages": proto(2) + num(1) + "." +
			proto(2) + tuple(num(10), str("cpu"), global("torch", "FloatStorage")) + "." + le64(4) + string(fourBytes) +
			proto(2) + "].",
		"tensors": proto(2) + num(1) + "." +
			proto(2) + tuple(num(20), num(10), global("torch", "FloatTensor")) + "." + le32(1) + le32(0) + le64(4) + le64(1) + le64(0),
	}
}

// tarCheckpoint is a file of PyTorch's tar format.
func tarCheckpoint(object string) []byte { return tarOf(tarFiles(object)) }
