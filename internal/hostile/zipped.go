package hostile

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
)

// An entry is one member of a zip archive. What is nil or zero is as it should be.
type entry struct {
	name     string
	data     []byte
	deflate  bool
	noSum    bool // checksums of zero
	descr    bool // sizes follow the data, as PyTorch writes them
	zip64    bool // sizes in a zip64 extra field
	skip     bool // a local header without a record in the directory
	absent   bool // a record in the directory without a local header
	prefix   []byte
	local    func(h []byte) []byte // changes the local header
	central  func(h []byte) []byte // changes the record in the directory
	contents func(b []byte) []byte // changes the stored bytes, not the sizes
}

// An archive is a zip file.
type archive struct {
	entries []entry
	comment []byte
	prefix  []byte                // before the first member
	gap     []byte                // before the directory
	end     func(h []byte) []byte // changes the end record
	wide    func(h []byte) []byte // adds and changes the zip64 end record
	suffix  []byte
}

// checkpoint is the archive of a checkpoint as torch.save writes it.
func checkpoint(pickle string, more ...entry) archive {
	return archive{entries: append([]entry{{name: "archive/data.pkl", data: []byte(pickle), descr: true}}, more...)}
}

// storage is a member of the bytes of a storage.
func storage(key string, b []byte) entry {
	return entry{name: "archive/data/" + key, data: b, descr: true}
}

// version is the member that torch.load wants.
var version = entry{name: "archive/version", data: []byte("3\n"), descr: true}

// torch is a whole checkpoint with the ordinary storage.
func torch(pickle string) []byte {
	return checkpoint(pickle, storage("0", fourBytes), version).bytes()
}

// bytes writes the archive.
func (a archive) bytes() []byte {
	out := bytes.NewBuffer(bytes.Clone(a.prefix))
	var dir []byte
	count := 0
	for _, e := range a.entries {
		at := out.Len()
		packed, head := e.header()
		if !e.absent {
			local := append([]byte("PK\x03\x04"), head...)
			if e.descr {
				copy(local[14:26], make([]byte, 12))
			}
			local = append(append(local, e.name...), e.extra()...)
			if e.local != nil {
				local = e.local(local)
			}
			out.Write(e.prefix)
			at = out.Len()
			out.Write(local)
			out.Write(packed)
			if e.descr {
				out.WriteString("PK\x07\x08")
				out.Write(head[10:22])
			}
		}
		if !e.skip {
			dir = append(dir, e.record(head, at)...)
			count++
		}
	}
	out.Write(a.gap)
	start := out.Len()
	out.Write(dir)
	out.Write(a.ending(start, len(dir), count))
	out.Write(a.suffix)
	return out.Bytes()
}

// header returns the stored bytes and the fields that both headers share, from
// the version on.
func (e entry) header() (packed, fields []byte) {
	packed = e.data
	method, flags := 0, 0
	if e.deflate {
		var b bytes.Buffer
		z, _ := flate.NewWriter(&b, flate.BestCompression)
		z.Write(e.data) //nolint:errcheck // into memory
		z.Close()
		packed, method = b.Bytes(), 8
	}
	if e.descr {
		flags = 0x0808
	}
	sum := crc32.ChecksumIEEE(e.data)
	if e.noSum {
		sum = 0
	}
	le := binary.LittleEndian
	f := le.AppendUint16(nil, 20)
	f = le.AppendUint16(f, uint16(flags))
	f = le.AppendUint16(f, uint16(method))
	f = le.AppendUint32(f, 0)
	f = le.AppendUint32(f, sum)
	csize, size := uint32(len(packed)), uint32(len(e.data)) //nolint:gosec // test files are small
	if e.zip64 {
		csize, size = 1<<32-1, 1<<32-1
	}
	f = le.AppendUint32(le.AppendUint32(f, csize), size)
	f = le.AppendUint16(f, uint16(len(e.name)))    //nolint:gosec // names are short, or meant to wrap
	f = le.AppendUint16(f, uint16(len(e.extra()))) //nolint:gosec // 0 or 20
	if e.contents != nil {
		packed = e.contents(bytes.Clone(packed))
	}
	return packed, f
}

// extra is the zip64 extra field.
func (e entry) extra() []byte {
	if !e.zip64 {
		return nil
	}
	le := binary.LittleEndian
	x := le.AppendUint16(le.AppendUint16(nil, 1), 16)
	return le.AppendUint64(le.AppendUint64(x, uint64(len(e.data))), uint64(len(e.data)))
}

// record is the entry of the central directory.
func (e entry) record(fields []byte, at int) []byte {
	le := binary.LittleEndian
	r := append([]byte("PK\x01\x02\x14\x00"), fields...)
	r = append(r, make([]byte, 10)...)
	r = le.AppendUint32(r, uint32(at)) //nolint:gosec // test files are small
	r = append(append(r, e.name...), e.extra()...)
	if e.central != nil {
		r = e.central(r)
	}
	return r
}

// ending writes the end records.
func (a archive) ending(start, size, count int) []byte {
	le := binary.LittleEndian
	var out []byte
	if a.wide != nil {
		rec := append([]byte("PK\x06\x06"), le64(44)...)
		rec = append(rec, le16(45)+le16(45)+le32(0)+le32(0)+le64(uint64(count))+le64(uint64(count))+le64(uint64(size))+le64(uint64(start))...) //nolint:gosec // not negative
		rec = append(rec, "PK\x06\x07"+le32(0)+le64(uint64(start+size))+le32(1)...)                                                            //nolint:gosec // not negative
		out = a.wide(rec)
	}
	end := append([]byte("PK\x05\x06\x00\x00\x00\x00"), le16(count)+le16(count)...)
	end = le.AppendUint32(le.AppendUint32(end, uint32(size)), uint32(start)) //nolint:gosec // test files are small
	end = append(le.AppendUint16(end, uint16(len(a.comment))), a.comment...) //nolint:gosec // short, or meant to wrap
	if a.end != nil {
		end = a.end(end)
	}
	return append(out, end...)
}

// put16 and put32 return a change of a header at an offset.
func put16(at, v int) func([]byte) []byte {
	return func(h []byte) []byte {
		binary.LittleEndian.PutUint16(h[at:], uint16(v)) //nolint:gosec // test bytes
		return h
	}
}

func put32(at int, v uint32) func([]byte) []byte {
	return func(h []byte) []byte {
		binary.LittleEndian.PutUint32(h[at:], v)
		return h
	}
}
