package hostile

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// A pickle is written as the concatenation of strings, each of which leaves one
// value on the stack or changes the one that is there.

// proto declares protocol n.
func proto(n byte) string { return string([]byte{0x80, n}) }

// global is a GLOBAL.
func global(module, name string) string { return "c" + module + "\n" + name + "\n" }

// stackGlobal is a STACK_GLOBAL of two strings.
func stackGlobal(module, name string) string { return short(module) + short(name) + "\x93" }

// str is a BINUNICODE, short a SHORT_BINUNICODE.
func str(s string) string   { return "X" + le32(len(s)) + s }
func short(s string) string { return "\x8c" + string([]byte{byte(len(s))}) + s } //nolint:gosec // short

// data is a BINBYTES.
func data(b string) string { return "B" + le32(len(b)) + b }

// num is an integer in the shortest form of protocol 2.
func num(n int64) string {
	switch {
	case n >= 0 && n < 256:
		return "K" + string([]byte{byte(n)})
	case n >= -1<<31 && n < 1<<31:
		return "J" + le32(int(n))
	}
	return "\x8a\x08" + le64(uint64(n)) //nolint:gosec // two's complement is what LONG1 holds
}

func le16(n int) string    { return string(binary.LittleEndian.AppendUint16(nil, uint16(n))) } //nolint:gosec // test bytes
func le32(n int) string    { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) } //nolint:gosec // test bytes
func le64(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }

// tuple, list and dict hold values.
func tuple(items ...string) string { return "(" + strings.Join(items, "") + "t" }
func list(items ...string) string  { return "](" + strings.Join(items, "") + "e" }
func dict(items ...string) string  { return "}(" + strings.Join(items, "") + "u" }

// ints is a tuple of integers.
func ints(n ...int64) string {
	var items []string
	for _, x := range n {
		items = append(items, num(x))
	}
	return tuple(items...)
}

// reduce calls fn with args.
func reduce(fn string, args ...string) string { return fn + tuple(args...) + "R" }

// ordered is an empty OrderedDict.
const ordered = "ccollections\nOrderedDict\n)R"

// A stored is a reference to a storage as torch.save writes it.
type stored struct {
	class, key string
	numel      int64
}

func (s stored) String() string {
	return tuple(str("storage"), global("torch", s.class), str(s.key), str("cpu"), num(s.numel)) + "Q"
}

// legacyString is the reference in the legacy format, which has view metadata.
func (s stored) legacyString() string {
	return tuple(str("storage"), global("torch", s.class), str(s.key), str("cpu"), num(s.numel), "N") + "Q"
}

// four is the storage of the ordinary tensor: 1 2 3 4 in float32.
var four = stored{"FloatStorage", "0", 4}

// fourBytes are its bytes, fourValues its elements.
var (
	fourBytes  = []byte("\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40\x00\x00\x80\x40")
	fourValues = []float32{1, 2, 3, 4}
)

// rebuild is a _rebuild_tensor_v2 call.
func rebuild(storage, offset, size, stride string) string {
	return reduce(global("torch._utils", "_rebuild_tensor_v2"), storage, offset, size, stride, "\x89", ordered)
}

// whole is the ordinary tensor.
var whole = rebuild(four.String(), num(0), ints(4), ints(1))

// state is a pickle of {"w": value}.
func state(value string) string { return proto(2) + dict(str("w"), value) + "." }

// runs is a call that would run a program, if anything were called.
var runs = reduce(global("os", "system"), str("echo pwned"))

// beside is a pickle of the ordinary tensor and of something else.
func beside(extra string) string { return proto(2) + dict(str("w"), whole, str("x"), extra) + "." }

// long is a LONG1 of the legacy format's magic number.
const magic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."

// A legacy is a file of the format before PyTorch 1.6.
type legacy struct {
	magic, version, system, object, keys string // pickles
	tail                                 string // numel and bytes of each storage
}

// ordinary returns a legacy file of the ordinary tensor.
func ordinary() legacy {
	return legacy{
		magic:   magic,
		version: proto(2) + "M\xe9\x03.",
		system:  proto(2) + dict(str("protocol_version"), num(1001), str("little_endian"), "\x88", str("type_sizes"), dict(str("short"), num(2), str("int"), num(4), str("long"), num(4))) + ".",
		object:  state(rebuild(four.legacyString(), num(0), ints(4), ints(1))),
		keys:    proto(2) + list(str("0")) + ".",
		tail:    le64(4) + string(fourBytes),
	}
}

func (l legacy) bytes() []byte {
	return []byte(l.magic + l.version + l.system + l.object + l.keys + l.tail)
}

// repeat returns n copies of s between head and tail.
func repeat(head, s string, n int, tail string) []byte {
	return []byte(head + strings.Repeat(s, n) + tail)
}

func itoa(n int) string { return strconv.Itoa(n) }
