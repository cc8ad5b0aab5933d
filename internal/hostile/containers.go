package hostile

import (
	"bytes"
	"slices"
	"strings"
)

// containers are archives that two readers see differently, that lie about
// themselves, or that are something else.
func containers() []Case {
	good := checkpoint(state(whole), storage("0", fourBytes), version)
	evilData := entry{name: "archive/data.pkl", data: []byte(evil), descr: true}
	more := func(e ...entry) func() []byte {
		return func() []byte {
			return checkpoint(state(whole), append([]entry{storage("0", fourBytes), version}, e...)...).bytes()
		}
	}
	with := func(change func(*archive)) func() []byte {
		return func() []byte {
			a := archive{entries: slices.Clone(good.entries)}
			change(&a)
			return a.bytes()
		}
	}
	named := func(name string) func() []byte { return more(entry{name: name, data: []byte("x")}) }
	big := func() []byte { return make([]byte, 64<<20) }
	return []Case{
		{Name: "empty.pt", What: "an empty file: one reader loops for ever", Make: text(""), Scan: "unreadable", Read: Refused},
		{Name: "one_byte.pt", What: "a file of one byte", Make: text("P"), Scan: "unreadable", Read: Refused},
		{Name: "zeros_512.pt", What: "512 zero bytes, an empty tar to some", Make: text(strings.Repeat("\x00", 512)), Scan: "unreadable", Read: Refused},
		{Name: "zeros_1024.pt", What: "1024 zero bytes", Make: text(strings.Repeat("\x00", 1024)), Scan: "unreadable", Read: Refused},
		{Name: "html.pt", What: "an HTML page", Make: text("\n<!DOCTYPE html><html><head><title>Sign in</title></head></html>"), Scan: "unreadable", Read: Refused},
		{Name: "lfs_pointer.pt", What: "a Git LFS pointer", Make: text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"), Scan: "unreadable", Read: Refused},
		{Name: "json.pt", What: "an error message in JSON", Make: text(`{"error": "Repository not found"}`), Scan: "unreadable", Read: Refused},
		{Name: "seven_zip.pt", What: "a 7-Zip archive", Make: text("7z\xbc\xaf\x27\x1c\x00\x04" + strings.Repeat("\x01", 64)), Scan: "unreadable", Read: Refused},
		{Name: "gzip.pt", What: "a gzip file", Make: text("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + strings.Repeat("\x01", 64)), Scan: "unreadable", Read: Refused},
		{Name: "xz.pt", What: "an xz file", Make: text("\xfd7zXZ\x00" + strings.Repeat("\x01", 64)), Scan: "unreadable", Read: Refused},
		{Name: "bzip2.pt", What: "a bzip2 file", Make: text("BZh91AY&SY" + strings.Repeat("\x01", 64)), Scan: "unreadable", Read: Refused},
		{Name: "gguf.pt", What: "a GGUF file", Make: text("GGUF\x03\x00\x00\x00" + strings.Repeat("\x00", 16)), Scan: "safe", Read: Refused},
		{Name: "safetensors.pt", What: "a safetensors file", Make: text(le64(8) + "{}      "), Scan: "safe", Read: Refused},
		{Name: "local_flag_encrypted.pt", What: "data.pkl marked as encrypted in its local header only", Make: with(func(a *archive) { a.entries[0].local = put16(6, 0x0809) }), Scan: "unreadable", Read: Refused},
		{Name: "central_flag_encrypted.pt", What: "marked as encrypted in the directory only", Make: with(func(a *archive) { a.entries[0].central = put16(8, 0x0809) }), Scan: "unreadable", Read: Refused},
		{Name: "both_flags_encrypted.pt", What: "marked as encrypted in both", Make: with(func(a *archive) { a.entries[0].local, a.entries[0].central = put16(6, 0x0809), put16(8, 0x0809) }), Scan: "unreadable", Read: Refused},
		{Name: "flag_patched.pt", What: "marked as patched data", Make: with(func(a *archive) { a.entries[0].local, a.entries[0].central = put16(6, 0x0828), put16(8, 0x0828) }), Scan: "unreadable", Read: Refused},
		{Name: "flag_strong_encryption.pt", What: "marked as strongly encrypted", Make: with(func(a *archive) { a.entries[0].local, a.entries[0].central = put16(6, 0x0848), put16(8, 0x0848) }), Scan: "unreadable", Read: Refused},
		{Name: "evil_encrypted_flag.pt", What: "a harmful data.pkl behind an encryption flag that readers ignore", Make: func() []byte {
			return archive{entries: []entry{{name: "archive/data.pkl", data: []byte(evil), descr: true, central: put16(8, 0x0809)}, version}}.bytes()
		}, Scan: "dangerous", Read: Refused},
		{Name: "crc_pickle.pt", What: "data.pkl that does not match its checksum", Make: with(func(a *archive) { a.entries[0].contents = flip(len(a.entries[0].data) - 20) }), Scan: "unreadable", Read: Refused},
		{Name: "crc_evil.pt", What: "a harmful data.pkl that does not match its checksum: a scanner that stops there says clean", Make: func() []byte {
			return archive{entries: []entry{{name: "archive/data.pkl", data: []byte(evil), contents: flip(len(evil) - 8)}, version}}.bytes()
		}, Scan: "dangerous", Read: Refused},
		{Name: "crc_absent.pt", What: "checksums of zero, which PyTorch can write", Make: with(func(a *archive) {
			for i := range a.entries {
				a.entries[i].noSum = true
			}
		}), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "local_name.pt", What: "another name in the local header", Make: with(func(a *archive) {
			a.entries[0].local = func(h []byte) []byte { return bytes.Replace(h, []byte("data.pkl"), []byte("fake.pkl"), 1) }
		}), Scan: "unreadable", Read: Refused},
		{Name: "local_method.pt", What: "another compression method in the local header", Make: with(func(a *archive) { a.entries[0].local = put16(8, 8) }), Scan: "unreadable", Read: Refused},
		{Name: "local_size.pt", What: "another size in the local header", Make: with(func(a *archive) { a.entries[0].local = put32(18, 5) }), Scan: "unreadable", Read: Refused},
		{Name: "local_signature.pt", What: "no local header where the directory says", Make: with(func(a *archive) { a.entries[1].local = put32(0, 0) }), Scan: "unreadable", Read: Refused},
		{Name: "local_extra_long.pt", What: "a local header whose extra field reaches past the file", Make: with(func(a *archive) { a.entries[2].local = put16(28, 0xffff) }), Scan: "unreadable", Read: Refused},
		{Name: "central_size_long.pt", What: "a storage that the directory calls longer than the file", Make: with(func(a *archive) { a.entries[1].central = put32(20, 1<<30) }), Scan: "unreadable", Read: Refused},
		{Name: "central_usize.pt", What: "a stored member of two sizes", Make: with(func(a *archive) { a.entries[1].central = put32(24, 8) }), Scan: "unreadable", Read: Refused},
		{Name: "central_offset.pt", What: "a record that points past the file", Make: with(func(a *archive) { a.entries[1].central = put32(42, 1<<30) }), Scan: "unreadable", Read: Refused},
		{Name: "central_method.pt", What: "an unknown compression method", Make: with(func(a *archive) { a.entries[1].central, a.entries[1].local = put16(10, 99), put16(8, 99) }), Scan: "unreadable", Read: Refused},
		{Name: "central_name_long.pt", What: "a record whose name reaches past the directory", Make: with(func(a *archive) { a.entries[2].central = put16(28, 0xffff) }), Scan: "unreadable", Read: Refused},
		{Name: "deflate_lies_short.pt", What: "a deflated member that inflates to less than it says", Make: with(func(a *archive) {
			a.entries[0].deflate, a.entries[0].descr = true, false
			a.entries[0].central, a.entries[0].local = put32(24, 1<<16), put32(22, 1<<16)
		}), Scan: "unreadable", Read: Refused},
		{Name: "deflate_lies_long.pt", What: "a deflated member that inflates to more than it says", Make: with(func(a *archive) {
			a.entries[0].deflate, a.entries[0].descr = true, false
			a.entries[0].central, a.entries[0].local = put32(24, 16), put32(22, 16)
		}), Scan: "unreadable", Read: Refused},
		{Name: "deflate_garbage.pt", What: "a deflated member that is no deflate stream", Make: with(func(a *archive) {
			a.entries[0].deflate = true
			a.entries[0].contents = func(b []byte) []byte { return bytes.Repeat([]byte{0xff}, len(b)) }
		}), Scan: "unreadable", Read: Refused},
		{Name: "deflated.pt", What: "honestly deflated members", Make: with(func(a *archive) {
			for i := range a.entries {
				a.entries[i].deflate = true
			}
		}), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "zip64.pt", What: "an honest zip64 archive", Make: with(func(a *archive) {
			for i := range a.entries {
				a.entries[i].zip64, a.entries[i].descr = true, false
			}
			a.wide = func(h []byte) []byte { return h }
		}), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "zip64_count.pt", What: "a zip64 record that counts other members", Make: with(func(a *archive) {
			a.wide = func(h []byte) []byte { return put32(32, 2)(put32(24, 2)(h)) }
		}), Scan: "unreadable", Read: Refused},
		{Name: "zip64_offset.pt", What: "a zip64 record with another directory", Make: with(func(a *archive) { a.wide = put32(48, 0) }), Scan: "unreadable", Read: Refused},
		{Name: "zip64_locator.pt", What: "a zip64 locator that points elsewhere", Make: with(func(a *archive) { a.wide = put32(64, 0) }), Scan: "unreadable", Read: Refused},
		{Name: "zip64_huge.pt", What: "a zip64 record of 2^63 members", Make: with(func(a *archive) {
			a.wide = func(h []byte) []byte {
				copy(h[24:], le64(1<<63)+le64(1<<63))
				return h
			}
			a.end = func(h []byte) []byte { copy(h[8:], "\xff\xff\xff\xff"); return h }
		}), Scan: "unreadable", Read: Refused},
		{Name: "end_count.pt", What: "an end record that counts fewer members", Make: with(func(a *archive) {
			a.end = func(h []byte) []byte { copy(h[8:], le16(2)+le16(2)); return h }
		}), Scan: "unreadable", Read: Refused},
		{Name: "end_count_more.pt", What: "an end record that counts 65,000 members", Make: with(func(a *archive) {
			a.end = func(h []byte) []byte { copy(h[8:], le16(65000)+le16(65000)); return h }
		}), Scan: "unreadable", Read: Refused},
		{Name: "end_disk.pt", What: "an archive that is split over disks", Make: with(func(a *archive) { a.end = put16(4, 1) }), Scan: "unreadable", Read: Refused},
		{Name: "end_comment.pt", What: "a comment longer than the file", Make: with(func(a *archive) { a.end = put16(20, 100) }), Scan: "unreadable", Read: Refused},
		{Name: "end_in_comment.pt", What: "a comment that holds a second end record, of another archive", Make: with(func(a *archive) {
			hidden := archive{entries: []entry{evilData}}.bytes()
			a.comment = hidden[len(hidden)-22:]
		}), Scan: "unreadable", Read: Refused},
		{Name: "no_end.pt", What: "a zip archive without its end", Make: func() []byte { b := good.bytes(); return b[:len(b)-30] }, Scan: "unreadable", Read: Refused},
		{Name: "junk_before.pt", What: "bytes before the first member", Make: with(func(a *archive) { a.prefix = []byte("junk junk junk") }), Scan: "unreadable", Read: Refused},
		{Name: "junk_prepended.pt", What: "bytes put before a finished archive", Make: func() []byte { return append([]byte("PK\x03\x04junk"), good.bytes()...) }, Scan: "unreadable", Read: Refused},
		{Name: "junk_behind.pt", What: "bytes behind the end of the archive", Make: with(func(a *archive) { a.suffix = []byte("junk junk junk") }), Scan: "unreadable", Read: Refused},
		{Name: "junk_before_directory.pt", What: "bytes between the members and the directory that the end record does not know of", Make: func() []byte {
			b := good.bytes()
			i := bytes.Index(b, []byte("PK\x01\x02"))
			return append(append(bytes.Clone(b[:i]), "junk"...), b[i:]...)
		}, Scan: "unreadable", Read: Refused},
		{Name: "duplicate_pickle.pt", What: "two members data.pkl: one reader takes the first, another the last", Make: more(evilData), Scan: "dangerous", Read: Refused},
		{Name: "duplicate_storage.pt", What: "two members of one storage", Make: more(storage("0", make([]byte, 16))), Scan: "unreadable", Read: Refused},
		{Name: "shadow_storage.pt", What: "a storage of the same base name in another folder", Make: more(entry{name: "archive/evil/0", data: make([]byte, 16)}), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "two_roots.pt", What: "members of a second folder", Make: more(entry{name: "other/data.pkl", data: []byte(evil)}), Scan: "dangerous", Read: Refused},
		{Name: "no_root.pt", What: "members in no folder", Make: func() []byte {
			return archive{entries: []entry{{name: "data.pkl", data: []byte(state(whole))}}}.bytes()
		}, Scan: "unreadable", Read: Refused},
		{Name: "no_pickle.pt", What: "an archive without data.pkl", Make: func() []byte { return archive{entries: []entry{version}}.bytes() }, Scan: "safe", Read: Refused},
		{Name: "no_members.pt", What: "an archive of nothing", Make: func() []byte { return archive{}.bytes() }, Scan: "safe", Read: Refused},
		{Name: "no_storage.pt", What: "a storage that is not there", Make: func() []byte { return checkpoint(state(whole), version).bytes() }, Scan: "safe", Read: Refused},
		{Name: "stray_constants.pt", What: "a member constants.pkl in a folder below: this is no TorchScript", Make: more(entry{name: "archive/x/constants.pkl", data: []byte(proto(2) + ").")}), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "name_dot_dot.pt", What: "a member that leaves the archive", Make: named("archive/../../tmp/x"), Scan: "unreadable", Read: Refused},
		{Name: "name_absolute.pt", What: "an absolute path", Make: named("/etc/x"), Scan: "unreadable", Read: Refused},
		{Name: "name_backslash.pt", What: "a Windows path", Make: named(`archive\data\0`), Scan: "unreadable", Read: Refused},
		{Name: "name_drive.pt", What: "a drive letter", Make: named("C:/x"), Scan: "unreadable", Read: Refused},
		{Name: "name_nul.pt", What: "a NUL in a name, where C programs stop reading", Make: named("archive/data/0\x00.txt"), Scan: "unreadable", Read: Refused},
		{Name: "name_escape.pt", What: "a terminal escape in a name", Make: named("archive/\x1b[2Jx"), Scan: "unreadable", Read: Refused},
		{Name: "name_empty.pt", What: "an empty name", Make: named(""), Scan: "unreadable", Read: Refused},
		{Name: "name_empty_folder.pt", What: "an empty folder name", Make: named("archive//data/0"), Scan: "unreadable", Read: Refused},
		{Name: "name_dot.pt", What: "a folder of one dot", Make: named("archive/./data/0"), Scan: "unreadable", Read: Refused},
		{Name: "name_not_utf8.pt", What: "a name that is not UTF-8", Make: named("archive/\xff\xfe"), Scan: "unreadable", Read: Refused},
		{Name: "name_long.pt", What: "a name of 60,000 bytes", Make: named("archive/" + strings.Repeat("a", 60000)), Scan: "unreadable", Read: Refused},
		{Name: "folder_with_bytes.pt", What: "a folder that has contents", Make: named("archive/folder/"), Scan: "unreadable", Read: Refused},
		{Name: "overlap.pt", What: "two members over the same bytes", Make: with(func(a *archive) {
			a.entries = append(a.entries, entry{name: "archive/data/1", data: fourBytes, absent: true, central: put32(42, 100)})
		}), Scan: "unreadable", Read: Refused},
		{Name: "same_header.pt", What: "two records for one local header", Make: with(func(a *archive) {
			a.entries = append(a.entries, entry{name: "archive/data/1", data: fourBytes, absent: true, central: put32(42, 0)})
		}), Scan: "unreadable", Read: Refused},
		{Name: "over_directory.pt", What: "a member that reaches into the directory", Make: with(func(a *archive) {
			a.entries[2].descr = false
			a.entries[2].central = func(h []byte) []byte { return put32(24, 40)(put32(20, 40)(h)) }
			a.entries[2].local = func(h []byte) []byte { return put32(22, 40)(put32(18, 40)(h)) }
		}), Scan: "unreadable", Read: Refused},
		{Name: "corrupt_before_evil.pt", What: "a broken member in front of a harmful one: a scanner that stops at the first says clean", Make: func() []byte {
			return archive{entries: []entry{{name: "archive/a.pkl", data: []byte("\x80\x02\xff"), contents: flip(0)}, {name: "archive/data.pkl", data: []byte(evil)}}}.bytes()
		}, Scan: "dangerous", Read: Danger},
		{Name: "hidden_member.pt", What: "a local header with a harmful pickle that the directory leaves out", Make: with(func(a *archive) {
			e := evilData
			e.skip, e.name = true, "archive/hidden.pkl"
			a.entries = append(a.entries, e)
		}), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "legacy_and_zip.pt", What: "a legacy file with a zip archive behind it: two readers, two models", Make: func() []byte { return append(ordinary().bytes(), torch(evil)...) }, Scan: "dangerous", Read: Refused},
		{Name: "pickle_and_zip.pkl", What: "a pickle with a zip archive behind it", Make: func() []byte { return append([]byte(state(num(1))), torch(evil)...) }, Scan: "dangerous", Read: Refused},
		{Name: "tar_and_zip.pth", What: "a tar with a zip archive behind it", Make: func() []byte { return append(tarCheckpoint(proto(2)+dict(str("w"), tensorRef)+"."), torch(evil)...) }, Scan: "dangerous", Read: Refused},
		{Name: "safetensors_and_zip.safetensors", What: "a safetensors file with a zip archive behind it", Make: func() []byte { return append([]byte(le64(8)+"{}      "), torch(evil)...) }, Scan: "dangerous", Read: Refused},
		{Name: "two_zips.pt", What: "two archives back to back: readers see the last", Make: func() []byte { return append(torch(evil), good.bytes()...) }, Scan: "dangerous", Read: Refused},
		{Name: "big_endian_byteorder.pt", What: "a big-endian file: the same numbers in the other order", Make: func() []byte {
			return checkpoint(state(whole), storage("0", swapped(fourBytes)), entry{name: "archive/byteorder", data: []byte("big")}, version).bytes()
		}, Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "unknown_byteorder.pt", What: "a byte order that does not exist", Make: more(entry{name: "archive/byteorder", data: []byte("middle")}), Scan: "safe", Read: Refused},
		{Name: "bomb_pickle.pt", Heavy: true, What: "64 MB of pickle in 64 KB", Make: func() []byte {
			return checkpointOf(entry{name: "archive/data.pkl", data: big(), deflate: true}).bytes()
		}, Scan: "unreadable", Read: Refused},
		{Name: "bomb_storage.pt", Heavy: true, What: "64 MB of storage in 64 KB", Make: func() []byte {
			return checkpoint(state(rebuild(stored{"FloatStorage", "0", 16 << 20}.String(), num(0), ints(16<<20), ints(1))), entry{name: "archive/data/0", data: big(), deflate: true}, version).bytes()
		}, Scan: "unreadable", Read: Refused},
		{Name: "tar_truncated.pth", What: "a tar that ends in a member", Make: func() []byte { b := tarCheckpoint(state(num(1))); return b[:len(b)/2] }, Scan: "unreadable", Read: Refused},
		{Name: "tar_other.tar", What: "a tar of something else", Make: func() []byte { return tarOf(map[string]string{"readme.txt": "hello"}) }, Scan: "safe", Read: Refused},
	}
}

// checkpointOf is an archive of members.
func checkpointOf(e ...entry) archive { return archive{entries: e} }

// flip returns a change of one byte.
func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[at] ^= 0x55
		return b
	}
}

// swapped returns b with the bytes of each float32 reversed.
func swapped(b []byte) []byte {
	out := slices.Clone(b)
	for i := 0; i < len(out); i += 4 {
		slices.Reverse(out[i : i+4])
	}
	return out
}
