package pickle

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
)

// A Container says what the first bytes of a file are.
type Container string

// What Sniff tells apart. Zip, Legacy, Tar and Pickle hold pickles; the others
// are what people find under a checkpoint's name instead.
const (
	Zip         Container = "zip"
	Legacy      Container = "legacy" // PyTorch before 1.6: five pickles and raw storages
	Tar         Container = "tar"
	Pickle      Container = "pickle"
	HTML        Container = "html"
	GitLFS      Container = "git-lfs"
	GZip        Container = "gzip"
	BZip2       Container = "bzip2"
	SevenZip    Container = "7z"
	XZ          Container = "xz"
	Zstd        Container = "zstd"
	RAR         Container = "rar"
	LZ4         Container = "lz4"
	Zlib        Container = "zlib"
	SafeTensors Container = "safetensors"
	GGUF        Container = "gguf"
	GGML        Container = "ggml"
	NumPy       Container = "numpy"
	HDF5        Container = "hdf5"
	JSON        Container = "json"
	Empty       Container = "empty"
	Zeros       Container = "zeros"
	Other       Container = "unknown"
)

// SniffBytes is how much of a file Sniff wants to see.
const SniffBytes = 1024

// signatures is the one table of what is recognised, in the order in which it
// is tried. advice is "" for what this package reads.
var signatures = []struct {
	name   Container
	match  func(head []byte) bool
	advice string
}{
	{Empty, func(b []byte) bool { return len(b) == 0 }, "the file is empty: the download or the save did not finish"},
	{Zip, starts("PK\x03\x04"), ""},
	{Zip, starts("PK\x05\x06"), ""},
	{Tar, isTar, ""},
	{Legacy, isLegacy, ""},
	{GGUF, starts("GGUF"), "this is a GGUF file, not a pickle: give it the extension .gguf"},
	{GGUF, starts("FUGG"), "this is a big-endian GGUF file, not a pickle: give it the extension .gguf"},
	{GGML, starts("lmgg"), "this is a ggml file, not a pickle"},
	{GGML, starts("fmgg"), "this is a ggml file (ggmf), not a pickle"},
	{GGML, starts("tjgg"), "this is a ggml file (ggjt), not a pickle"},
	{SafeTensors, isSafeTensors, "this is a safetensors file, not a pickle: give it the extension .safetensors"},
	{NumPy, starts("\x93NUMPY"), "this is one NumPy array, not a checkpoint"},
	{HDF5, starts("\x89HDF\r\n\x1a\n"), "this is an HDF5 file (Keras or MATLAB), not a PyTorch checkpoint"},
	{GitLFS, starts("version https://git-lfs"), "this is a Git LFS pointer, not the file itself: run `git lfs pull` in the repository, or download the file from its web page"},
	{HTML, isHTML, "this is an HTML page, not a checkpoint: the download returned a login, error or preview page; fetch the file itself"},
	{GZip, starts("\x1f\x8b"), "the file is compressed with gzip: decompress it first (gunzip)"},
	{BZip2, starts("BZh"), "the file is compressed with bzip2: decompress it first (bunzip2)"},
	{XZ, starts("\xfd7zXZ\x00"), "the file is compressed with xz: decompress it first (unxz)"},
	{Zstd, starts("\x28\xb5\x2f\xfd"), "the file is compressed with Zstandard: decompress it first (unzstd)"},
	{LZ4, starts("\x04\x22\x4d\x18"), "the file is compressed with LZ4: decompress it first (unlz4)"},
	{SevenZip, starts("7z\xbc\xaf\x27\x1c"), "this is a 7-Zip archive: extract it first (7z x)"},
	{RAR, starts("Rar!\x1a\x07"), "this is a RAR archive: extract it first"},
	{Pickle, startsLikePickle, ""},
	{Zlib, isZlib, "the file is compressed with zlib, as joblib does: decompress it first"},
	{JSON, isJSON, "this is JSON text, not a checkpoint: an index or a configuration, or the error message of a download"},
	{Zeros, isZeros, "the file starts with nothing but zero bytes: space was reserved for it and the data never arrived"},
	{Pickle, isTextPickle, ""},
	{Other, func([]byte) bool { return true }, "the file is none of the formats that PyTorch writes"},
}

// Sniff recognises a file by its first bytes, SniffBytes of them or the whole
// file if it is shorter. It never looks at a name.
func Sniff(head []byte) Container {
	for _, c := range signatures {
		if c.match(head) {
			return c.name
		}
	}
	return Other
}

// Advice says in plain words what a file that holds no pickle is and what to do
// about it. It is "" for the containers that this package reads.
func (c Container) Advice() string {
	for _, row := range signatures {
		if row.name == c {
			return row.advice
		}
	}
	return ""
}

func starts(magic string) func([]byte) bool {
	return func(head []byte) bool { return bytes.HasPrefix(head, []byte(magic)) }
}

// magicOperand is 0x1950a86a20f9469cfc6c as the operand of LONG1
// (torch/serialization.py, MAGIC_NUMBER).
var magicOperand = []byte("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")

// isLegacy finds the magic number behind PROTO and FRAME, or as the text that
// protocols 0 and 1 write.
func isLegacy(head []byte) bool {
	if bytes.HasPrefix(head, []byte("L119547037146038801333356L\n.")) {
		return true
	}
	i := bytes.Index(head[:min(len(head), 24)], magicOperand)
	return i > 0 && head[0] == 0x80
}

// isTar checks the checksum of a tar header, which every version of the format has.
func isTar(head []byte) bool {
	if len(head) < 512 || head[0] == 0 {
		return false
	}
	want, err := strconv.ParseInt(strings.Trim(string(head[148:156]), " \x00"), 8, 64)
	if err != nil {
		return false
	}
	sum := int64(8 * ' ')
	for i, c := range head[:512] {
		if i < 148 || i >= 156 {
			sum += int64(c)
		}
	}
	return sum == want
}

// isSafeTensors finds a header length and the JSON object that it promises.
func isSafeTensors(head []byte) bool {
	if len(head) < 9 || head[8] != '{' {
		return false
	}
	n := binary.LittleEndian.Uint64(head)
	return n > 1 && n <= 100<<20
}

func isHTML(head []byte) bool {
	text := strings.ToLower(strings.TrimLeft(strings.TrimPrefix(string(head[:min(len(head), 512)]), "\ufeff"), " \t\r\n"))
	for _, tag := range []string{"<!doctype", "<html", "<head", "<body", "<?xml", "<!--", "<script", "<title", "<meta"} {
		if strings.HasPrefix(text, tag) {
			return true
		}
	}
	return false
}

// isZlib checks the two bytes of a zlib header (RFC 1950).
func isZlib(head []byte) bool {
	return len(head) > 2 && head[0] == 0x78 && (int(head[0])<<8+int(head[1]))%31 == 0
}

func isJSON(head []byte) bool {
	text := strings.TrimLeft(string(head), " \t\r\n")
	return strings.HasPrefix(text, "{") && strings.HasPrefix(strings.TrimLeft(text[1:], " \t\r\n"), `"`)
}

func isZeros(head []byte) bool { return len(bytes.Trim(head, "\x00")) == 0 }

// isTextPickle recognises a pickle without a protocol declaration: protocols 0
// and 1, and what is made by hand. It has to be whole or to import something.
func isTextPickle(head []byte) bool {
	if len(head) == 0 || opcodes[head[0]].run == nil {
		return false
	}
	return audit(head, Limits{}).evident(int64(len(head)))
}
