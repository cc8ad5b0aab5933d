package pickle

import (
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

const dcpModule = "torch.distributed.checkpoint."

// pyObject is an instance with attributes, given as keys and values.
func pyObject(class string, attributes ...string) string {
	return pyBuild(pyNew(dcpModule+class), pyDict(attributes...))
}

// A dcpChunk is one chunk of tensor w as tests describe it.
type dcpChunk struct {
	at, size []int64
	file     string
	data     string
}

// A dcpFolder is a distributed checkpoint of a 4×2 float32 tensor w and of a
// value; tests change a part of it.
type dcpFolder struct {
	shape, dtype string
	chunks       []dcpChunk
	info         func(path string, offset, length int) string
	extra        []string // more names and descriptions
	more         []string // more indices and places
}

func ordinaryFolder() dcpFolder {
	return dcpFolder{shape: pyInts(4, 2), dtype: "torch.float32", info: storageInfo, chunks: []dcpChunk{
		{[]int64{2, 0}, []int64{2, 2}, "__1_0.distcp", f32s(4, 5, 6, 7)},
		{[]int64{0, 0}, []int64{2, 2}, "__0_0.distcp", f32s(0, 1, 2, 3)},
	}}
}

func storageInfo(path string, offset, length int) string {
	return pyObject("filesystem._StorageInfo", pyStr("relative_path"), pyStr(path), pyStr("offset"), pyInt(int64(offset)), pyStr("length"), pyInt(int64(length)))
}

func pyIndex(name string, offset ...int64) string {
	return pyObject("metadata.MetadataIndex", pyStr("fqn"), pyStr(name), pyStr("offset"), pyCall("torch.Size", pyInts(offset...)), pyStr("index"), pyInt(0))
}

func (f dcpFolder) files(t *testing.T) memoryFiles {
	t.Helper()
	files := memoryFiles{}
	var chunks, places []string
	for _, c := range f.chunks {
		n := c.size[0] * c.size[1]
		part := torchZip(t, pyTensor(pyStorage("torch.FloatStorage", "0", n), 0, c.size, []int64{c.size[1], 1}), zipPart{"0", c.data})
		chunks = append(chunks, pyObject("metadata.ChunkStorageMetadata", pyStr("offsets"), pyCall("torch.Size", pyInts(c.at...)), pyStr("sizes"), pyCall("torch.Size", pyInts(c.size...))))
		places = append(places, pyIndex("w", c.at...), f.info(c.file, len(files[c.file]), len(part)))
		files[c.file] = append(files[c.file], part...)
	}
	value := torchZip(t, pyDict(pyStr("epoch"), pyInt(3)))
	places = append(places, pyObject("metadata.MetadataIndex", pyStr("fqn"), pyStr("state"), pyStr("offset"), "N", pyStr("index"), "N"), storageInfo("__0_0.distcp", len(files["__0_0.distcp"]), len(value)))
	files["__0_0.distcp"] = append(files["__0_0.distcp"], value...)
	properties := pyBuild(pyNew(dcpModule+"metadata.TensorProperties"), pyTuple(pyGlobal(f.dtype), pyGlobal("torch.strided"), "\x89"))
	names := append([]string{
		pyStr("w"), pyObject("metadata.TensorStorageMetadata", pyStr("properties"), properties, pyStr("size"), pyCall("torch.Size", f.shape), pyStr("chunks"), pyList(chunks...)),
		pyStr("state"), pyObject("metadata.BytesStorageMetadata"),
	}, f.extra...)
	files[metadataName] = []byte(pyPickle(pyObject("metadata.Metadata", pyStr("state_dict_metadata"), pyDict(names...), pyStr("storage_data"), pyDict(append(places, f.more...)...), pyStr("version"), pyStr("1.0.0"))))
	return files
}

func TestDistributedCheckpointIsAssembled(t *testing.T) {
	files := ordinaryFolder().files(t)
	files["__2_0.distcp"] = []byte("left over")
	m, err := ReadDistributed(files, "file.pt", Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantNames(t, m, "w")
	wantTensor(t, m, "w", tensor.F32, tensor.Shape{4, 2}, counting(8))
	wantNote(t, m, "files that the description does not name were not read: __2_0.distcp")
	for key, want := range map[string]any{"state.epoch": int64(3), "pytorch.container": "distributed", "pytorch.version": "1.0.0", "pytorch.files": int64(2)} {
		if got, _ := m.Meta.Get(key); got != want {
			t.Errorf("%s = %#v, want %#v", key, got, want)
		}
	}
}

func TestTensorOfOneChunkIsASectionOfItsFile(t *testing.T) {
	f := ordinaryFolder()
	f.chunks = []dcpChunk{{[]int64{0, 0}, []int64{4, 2}, "__0_0.distcp", counting(8)}}
	files := f.files(t)
	m, err := ReadDistributed(files, "file.pt", Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := m.Tensor("w").Origin
	if o.File != "file.pt/__0_0.distcp" || string(files["__0_0.distcp"][o.Offset:o.Offset+32]) != counting(8) {
		t.Errorf("origin %+v", o)
	}
}

func TestDamagedDistributedCheckpointIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*dcpFolder)
		class  error
		says   string
	}{
		{"path outside the folder", func(f *dcpFolder) {
			f.info = func(_ string, o, n int) string { return storageInfo("../__0_0.distcp", o, n) }
		}, tensor.ErrCorrupt, `"../__0_0.distcp" is not of a file in the folder`},
		{"absolute path", func(f *dcpFolder) {
			f.info = func(_ string, o, n int) string { return storageInfo("/etc/passwd", o, n) }
		}, tensor.ErrCorrupt, "is not of a file in the folder"},
		{"file that is not there", func(f *dcpFolder) {
			f.info = func(_ string, o, n int) string { return storageInfo("none.distcp", o, n) }
		}, errNotExist, "none.distcp"},
		{"offset past the file", func(f *dcpFolder) {
			f.info = func(p string, o, n int) string { return storageInfo(p, 1<<40, n) }
		}, tensor.ErrCorrupt, "at 0x10000000000 of"},
		{"negative offset", func(f *dcpFolder) { f.info = func(p string, o, n int) string { return storageInfo(p, -1, n) } }, tensor.ErrCorrupt, "which has"},
		{"length past the file", func(f *dcpFolder) { f.info = func(p string, o, n int) string { return storageInfo(p, o, 1<<62) } }, tensor.ErrCorrupt, "which has"},
		{"transforms", func(f *dcpFolder) {
			f.info = func(p string, o, n int) string {
				return pyObject("filesystem._StorageInfo", pyStr("relative_path"), pyStr(p), pyStr("offset"), pyInt(int64(o)), pyStr("length"), pyInt(int64(n)), pyStr("transform_descriptors"), pyList(pyStr("zstd")))
			}
		}, tensor.ErrUnsupported, "transforms zstd"},
		{"chunk missing", func(f *dcpFolder) { f.chunks = f.chunks[:1] }, tensor.ErrCorrupt, "a chunk is missing"},
		{"chunk twice", func(f *dcpFolder) { f.chunks = append(f.chunks, f.chunks[0]) }, tensor.ErrCorrupt, "chunk at [2 0] is stored twice"},
		{"chunks overlap", func(f *dcpFolder) {
			f.chunks[0] = dcpChunk{[]int64{1, 0}, []int64{3, 2}, "__1_0.distcp", counting(6)}
		}, tensor.ErrCorrupt, "a chunk overlaps"},
		{"chunk outside", func(f *dcpFolder) { f.chunks[0].at = []int64{3, 0} }, tensor.ErrCorrupt, "chunk of [2 2] at [3 0] of a tensor of [4 2]"},
		{"chunk of another rank", func(f *dcpFolder) { f.shape = pyInts(8) }, tensor.ErrCorrupt, "of a tensor of [8]"},
		{"chunk of another type", func(f *dcpFolder) { f.dtype = "torch.float16" }, tensor.ErrCorrupt, "is a tensor float32 [2 2], its description says float16 [2 2]"},
		{"no dtype", func(f *dcpFolder) { f.dtype = "torch.channels_last" }, tensor.ErrUnsupported, "names no dtype"},
		{"size that overflows", func(f *dcpFolder) { f.shape = pyInts(1<<40, 1<<40) }, tensor.ErrTooLarge, "overflows"},
		{"name that is a number", func(f *dcpFolder) { f.extra = []string{pyInt(1), pyInt(2)} }, tensor.ErrCorrupt, "name is a int"},
		{"unknown description", func(f *dcpFolder) { f.extra = []string{pyStr("x"), pyObject("metadata.Other")} }, tensor.ErrUnsupported, "metadata.Other"},
		{"value nowhere", func(f *dcpFolder) { f.extra = []string{pyStr("x"), pyObject("metadata.BytesStorageMetadata")} }, tensor.ErrNotFound, "nowhere in storage_data"},
		{"place of a number", func(f *dcpFolder) { f.more = []string{pyIndex("x"), pyInt(1)} }, tensor.ErrUnsupported, "to a int"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := ordinaryFolder()
			c.change(&f)
			_, err := ReadDistributed(f.files(t), "file.pt", Options{})
			wantError(t, err, c.class, c.says)
		})
	}
}

func TestDangerInAChunkRefusesTheFolder(t *testing.T) {
	evil := torchZip(t, pyCall("os.system", pyStr("true")))
	f := ordinaryFolder()
	f.extra = []string{pyStr("x"), pyObject("metadata.BytesStorageMetadata")}
	f.more = []string{pyObject("metadata.MetadataIndex", pyStr("fqn"), pyStr("x"), pyStr("offset"), "N"), storageInfo("evil.distcp", 0, len(evil))}
	files := f.files(t)
	files["evil.distcp"] = evil
	_, err := ReadDistributed(files, "file.pt", Options{})
	wantError(t, err, ErrDangerous, "file.pt/evil.distcp", "os.system")
}

func TestFolderWithoutADescriptionIsRefused(t *testing.T) {
	_, err := ReadDistributed(memoryFiles{}, "file.pt", Options{})
	wantError(t, err, errNotExist, metadataName)
	_, err = ReadDistributed(memoryFiles{metadataName: []byte(pyPickle(pyDict()))}, "file.pt", Options{})
	wantError(t, err, tensor.ErrUnsupported, "without state_dict_metadata")
	_, err = ReadDistributed(memoryFiles{metadataName: []byte(pyPickle(pyDict()) + strings.Repeat("x", 9))}, "file.pt", Options{})
	wantError(t, err, tensor.ErrCorrupt, "9 bytes follow the end")
}
