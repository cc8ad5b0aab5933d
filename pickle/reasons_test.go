package pickle

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/internal/hostile"
)

// hostileFile returns the contents of one case of the hostile corpus.
func hostileFile(tb testing.TB, name string) []byte {
	tb.Helper()
	for _, c := range hostile.All() {
		if c.Name == name {
			if t, ok := tb.(*testing.T); ok {
				return contents(t, c)
			}
			return c.Make()
		}
	}
	tb.Fatalf("no hostile case %q", name)
	return nil
}

// A file that is refused has to be refused for what is wrong with it: each case
// is sound but for one thing.
func TestScanSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"empty.pt", "the file is empty"},
		{"zeros_512.pt", "nothing but zero bytes"},
		{"html.pt", "HTML page"},
		{"lfs_pointer.pt", "git lfs pull"},
		{"seven_zip.pt", "7-Zip"},
		{"local_flag_encrypted.pt", "flags is 0x809 in the local header and 0x808 in the central directory"},
		{"central_flag_encrypted.pt", "marked as encrypted"},
		{"flag_patched.pt", "marked as encrypted or patched"},
		{"local_name.pt", `its local header is called "archive/fake.pkl"`},
		{"local_method.pt", "compression method is 0x8 in the local header and 0x0"},
		{"local_size.pt", "compressed size is 0x5 in the local header"},
		{"local_signature.pt", "no local header"},
		{"central_usize.pt", "is stored, and yet its 8 bytes take 16"},
		{"central_offset.pt", "0x40000000, the file has"},
		{"central_method.pt", "compression method 99"},
		{"deflate_lies_short.pt", "the directory says 65536"},
		{"deflate_lies_long.pt", "inflates to more than the 16 bytes"},
		{"deflate_garbage.pt", "does not inflate"},
		{"zip64_count.pt", "the zip64 record"},
		{"zip64_locator.pt", "zip64 locator points to"},
		{"end_disk.pt", "several disks"},
		{"end_comment.pt", "do not end where the file does"},
		{"end_in_comment.pt", "two end records"},
		{"no_end.pt", "no end of central directory"},
		{"junk_before.pt", "before"},
		{"duplicate_storage.pt", "occurs twice"},
		{"two_roots.pt", `outside the folder "archive"`},
		{"name_dot_dot.pt", `has the folder ".."`},
		{"name_absolute.pt", "path outside the archive"},
		{"name_nul.pt", "control characters"},
		{"name_long.pt", "the limit is 4096"},
		{"overlap.pt", "overlaps the member before it"},
		{"same_header.pt", "overlaps the member before it"},
		{"over_directory.pt", "inside the central directory"},
		{"bomb_pickle.pt", "the limit is a ratio of 100"},
		{"crc_pickle.pt", "wrong checksum"},
		{"legacy_and_zip.pt", "a zip archive is appended"},
		{"two_zips.pt", "before the archive that readers find"},
		{"opcode_ff.pkl", "byte 0xff is no instruction"},
		{"no_stop.pkl", "without STOP"},
		{"protocol_6.pkl", "protocol 6, the newest is 5"},
		{"protocol_late.pkl", "not at the start"},
		{"frame_past_end.pkl", "frame of 1000 bytes, 2 remain"},
		{"frame_nested.pkl", "frame inside a frame"},
		{"frame_straddled.pkl", "its frame at"},
		{"stop_inside_frame.pkl", "8 bytes before the end of its frame"},
		{"setitems_odd.pkl", "3 keys and values are not pairs"},
		{"get_missing.pkl", "memo entry 5 was never stored"},
		{"put_far.pkl", "memo entry 2147483647 after 0 entries"},
		{"dup_under_mark.pkl", "none above the mark"},
		{"long4_negative.pkl", "length -1 is negative"},
		{"long4_100_kb.pkl", "integer of 102400 bytes, the limit is 255"},
		{"binbytes8_huge.pkl", "length 1152921504606846976, 4 bytes remain"},
		{"unicode_invalid.pkl", "is not UTF-8"},
		{"string_unquoted.pkl", "is not quoted"},
		{"int_underscore.pkl", "is no integer"},
		{"float_hex.pkl", "is no number"},
		{"global_line_1_mb.pkl", "without a newline"},
		{"nested_too_deep.pt", "nested more than 2 deep"},
		{"zip_in_zip_in_zip.zip", "archives are nested more than 2 deep"},
		{"marks.pkl", "more than 1000 marks"},
		{"nones.pkl", "the stack would hold more than 1048576 values"},
		{"memos.pkl", "memo entries"},
		{"globals.pkl", "more than 16384 different globals"},
		{"lists_in_list.pkl", "bytes of memory, the limit is"},
		{"state_again.pkl", "because values are used again"},
		{"long_key_again.pkl", "because values are used again"},
		{"bytes_after_stop.pkl", "follow the last pickle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := hostileFile(t, c.name)
			rep := ScanReader(context.Background(), bytes.NewReader(b), int64(len(b)), c.name, ScanOptions{})
			if got := strings.Join(rep.Errors, "\n"); !strings.Contains(got, c.want) {
				t.Errorf("errors %.600q, want %q", got, c.want)
			}
		})
	}
}
