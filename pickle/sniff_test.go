package pickle

import (
	"strings"
	"testing"
)

func TestSniffKnowsEveryFormat(t *testing.T) {
	for _, c := range []struct {
		name string
		head string
		want Container
	}{
		{"zip", "PK\x03\x04\x00\x00", Zip},
		{"zip without members", "PK\x05\x06" + strings.Repeat("\x00", 18), Zip},
		{"legacy in protocol 2", "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.", Legacy},
		{"legacy in protocol 4", "\x80\x04\x95\x0d\x00\x00\x00\x00\x00\x00\x00\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", Legacy},
		{"legacy in protocol 0", "L119547037146038801333356L\n.I1001\n.", Legacy},
		{"pickle", "\x80\x02}q\x00.", Pickle},
		{"pickle of protocol 0", "(lp0\n.", Pickle},
		{"pickle of protocol 0 that goes on", "cos\nsystem\n(S'a'\ntR(" + strings.Repeat("I1\n", 400), Pickle},
		{"a protocol that is no pickle", "\x80\x02\xff\xff", Other},
		{"text that starts like an instruction", "cat and dog\nand more\n", Other},
		{"HTML", "<!DOCTYPE html>", HTML},
		{"HTML behind blanks and a mark", "\ufeff \r\n<HTML>", HTML},
		{"an error page in XML", "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", HTML},
		{"Git LFS", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", GitLFS},
		{"gzip", "\x1f\x8b\x08\x00", GZip},
		{"bzip2", "BZh91AY", BZip2},
		{"xz", "\xfd7zXZ\x00", XZ},
		{"Zstandard", "\x28\xb5\x2f\xfd\x04", Zstd},
		{"LZ4", "\x04\x22\x4d\x18", LZ4},
		{"7-Zip", "7z\xbc\xaf\x27\x1c", SevenZip},
		{"RAR", "Rar!\x1a\x07\x01\x00", RAR},
		{"zlib", "\x78\x9c\x01\x02", Zlib},
		{"safetensors", "\x40\x00\x00\x00\x00\x00\x00\x00{\"w\":", SafeTensors},
		{"GGUF", "GGUF\x03\x00\x00\x00", GGUF},
		{"GGUF of a big-endian machine", "GGUF\x00\x00\x00\x03", GGUF},
		{"ggml", "lmgg\x00", GGML},
		{"NumPy", "\x93NUMPY\x01\x00", NumPy},
		{"HDF5", "\x89HDF\r\n\x1a\n", HDF5},
		{"JSON", " {\n \"error\": 1}", JSON},
		{"nothing", "", Empty},
		{"zeros", strings.Repeat("\x00", 1024), Zeros},
		{"noise", "\xde\xad\xbe\xef", Other},
		{"a tar", string(hostileFile(t, "tar_other.tar")[:1024]), Tar},
		{"a tar with a wrong checksum", "x" + string(hostileFile(t, "tar_other.tar")[1:1024]), Other},
	} {
		if got := Sniff([]byte(c.head)); got != c.want {
			t.Errorf("Sniff(%s) = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAdviceIsGivenForWhatIsNotRead(t *testing.T) {
	for _, row := range signatures {
		_, read := scans[row.name]
		if readable := row.name == Zip || row.name == Legacy || row.name == Tar || row.name == Pickle; readable != (row.name.Advice() == "") {
			t.Errorf("%s: advice %q, and scanned %v", row.name, row.name.Advice(), read)
		}
	}
}
