package pickle

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// zipped is an archive that Go's own writer makes: sizes behind the data, as
// PyTorch has them.
func writeZip(tb testing.TB, method uint16, files map[string][]byte, order ...string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range order {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := f.Write(files[name]); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func open(tb testing.TB, b []byte, lim Limits) *archive {
	tb.Helper()
	a, err := openZip(bytes.NewReader(b), int64(len(b)), "m.pt", lim)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// noise is n bytes that do not compress, the same for every test.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestZipAgreesWithGoOnEveryMember(t *testing.T) {
	files := map[string][]byte{"m/data.pkl": []byte("abc"), "m/data/0": noise(100_000), "m/data/1": nil, "m/text": []byte(strings.Repeat("text ", 1000))}
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		b := writeZip(t, method, files, "m/data.pkl", "m/data/0", "m/data/1", "m/text")
		a := open(t, b, Limits{})
		if a.root() != "m" || len(a.members()) != len(files) || a.gaps != 0 {
			t.Errorf("root %q with %d members and %d bytes between them, want \"m\", %d and 0", a.root(), len(a.members()), a.gaps, len(files))
		}
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range a.members() {
			off, err := z.File[i].DataOffset()
			if want := z.File[i]; err != nil || m.Name != want.Name || m.Offset != off || m.Size != int64(want.UncompressedSize64) || m.Compressed != int64(want.CompressedSize64) || m.CRC32 != want.CRC32 || m.Method != want.Method {
				t.Errorf("member %+v, want %+v at %d (%v)", m, want.FileHeader, off, err)
			}
			checkContents(t, a, m, files[m.Name])
		}
	}
}

// checkContents reads a member in both ways.
func checkContents(t *testing.T, a *archive, m *member, want []byte) {
	t.Helper()
	got, err := a.readAll(m, 1<<20)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("readAll(%s) = %d bytes, %v; want %d", m.Name, len(got), err, len(want))
	}
	r, err := a.section(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err = io.ReadAll(io.NewSectionReader(r, 0, m.Size+10))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("section(%s) = %d bytes, %v; want %d", m.Name, len(got), err, len(want))
	}
}

func TestZipFindsMembersBelowTheRoot(t *testing.T) {
	a := open(t, writeZip(t, zip.Store, nil, "m/data.pkl", "m/.data/version"), Limits{})
	for name, want := range map[string]bool{"data.pkl": true, ".data/version": true, "m/data.pkl": false, "version": false, "": false} {
		if _, ok := a.member(name); ok != want {
			t.Errorf("member(%q) found: %v, want %v", name, ok, want)
		}
	}
}

func TestZipOfAnyLayoutKeepsFullNames(t *testing.T) {
	b := writeZip(t, zip.Store, nil, "a.npy", "folder/b.npy")
	a, err := openAnyZip(bytes.NewReader(b), int64(len(b)), "m.npz", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := a.member("folder/b.npy"); !ok || a.root() != "" {
		t.Errorf("root %q, and no member folder/b.npy", a.root())
	}
	if _, err := openZip(bytes.NewReader(b), int64(len(b)), "m.npz", Limits{}); !errors.Is(err, tensor.ErrUnsupported) {
		t.Errorf("openZip of members in no folder: %v, want ErrUnsupported", err)
	}
}

func TestWrongChecksumGivesTheBytesAndAnError(t *testing.T) {
	b := writeZip(t, zip.Store, map[string][]byte{"m/a": []byte("hello")}, "m/a")
	b[bytes.Index(b, []byte("hello"))] = 'H'
	a := open(t, b, Limits{})
	got, err := a.readAll(a.members()[0], 100)
	if !errors.Is(err, errCRC) || !errors.Is(err, tensor.ErrCorrupt) || string(got) != "Hello" {
		t.Errorf("readAll = %q, %v; want \"Hello\" and errCRC", got, err)
	}
}

func TestZipLimitsAreChecksBeforeReading(t *testing.T) {
	zeros := make([]byte, 4<<20)
	b := writeZip(t, zip.Deflate, map[string][]byte{"m/a": zeros, "m/b": zeros}, "m/a", "m/b")
	for _, c := range []struct {
		name  string
		lim   Limits
		limit int64
		want  string
	}{
		{"size", Limits{Ratio: 2000}, 100, "the limit is 100"},
		{"ratio", Limits{}, 1 << 30, "a ratio of 100"},
		{"total", Limits{Ratio: 2000, Inflated: 6 << 20}, 1 << 30, "the members read so far inflate to 4194304 bytes"},
	} {
		a := open(t, b, c.lim)
		var err error
		for _, m := range a.members() {
			if _, e := a.readAll(m, c.limit); e != nil {
				err = e
			}
		}
		if !errors.Is(err, tensor.ErrTooLarge) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want ErrTooLarge: %s", c.name, err, c.want)
		}
	}
	if _, err := openZip(bytes.NewReader(b), int64(len(b)), "m.pt", Limits{Entries: 1}); !errors.Is(err, tensor.ErrTooLarge) {
		t.Errorf("two members with a limit of one: %v, want ErrTooLarge", err)
	}
}

func TestSpoolIsReadByManyAtOnce(t *testing.T) {
	want := noise(300_000)
	a := open(t, writeZip(t, zip.Deflate, map[string][]byte{"m/a": want}, "m/a"), Limits{})
	m := a.members()[0]
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			r, err := a.section(m)
			if err != nil {
				t.Error(err)
				return
			}
			got := make([]byte, 1000)
			if _, err := r.ReadAt(got, int64(1000*i)); err != nil || !bytes.Equal(got, want[1000*i:1000*i+1000]) {
				t.Errorf("ReadAt(%d): %v, or other bytes", 1000*i, err)
			}
		})
	}
	wg.Wait()
	if a.inflated != m.Size {
		t.Errorf("%d bytes count as inflated, want %d: once", a.inflated, m.Size)
	}
}

func TestSpoolReportsWhatIsWrong(t *testing.T) {
	b := writeZip(t, zip.Deflate, map[string][]byte{"m/a": noise(1000)}, "m/a")
	a := open(t, b, Limits{})
	m := *a.members()[0]
	for name, change := range map[string]func(m *member){
		"checksum": func(m *member) { m.CRC32++ },
		"short":    func(m *member) { m.Size++ },
		"long":     func(m *member) { m.Size-- },
	} {
		c := m
		change(&c)
		r, err := a.section(&c)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := r.ReadAt(make([]byte, 10), 0); n != 0 || !errors.Is(err, tensor.ErrCorrupt) {
			t.Errorf("%s: ReadAt = %d, %v; want ErrCorrupt", name, n, err)
		}
	}
}

// Every byte of the headers matters: a change to one is noticed, or changes
// nothing that a reader uses.
func TestZipNoticesChangedBytes(t *testing.T) {
	files := map[string][]byte{"m/data.pkl": []byte("abcdef"), "m/data/0": []byte("0123456789")}
	b := writeZip(t, zip.Store, files, "m/data.pkl", "m/data/0")
	for i := range b {
		for _, bit := range []byte{0x01, 0x80} {
			c := bytes.Clone(b)
			c[i] ^= bit
			a, err := openZip(bytes.NewReader(c), int64(len(c)), "m.pt", Limits{})
			if err != nil {
				continue
			}
			for _, m := range a.members() {
				got, err := a.readAll(m, 1<<20)
				if want, ok := files[m.Name]; err == nil && (!ok || !bytes.Equal(got, want)) {
					t.Errorf("bit %#x of byte %d: member %q holds %q and nothing is said", bit, i, m.Name, got)
				}
			}
		}
	}
}

func TestTruncatedZipIsRefused(t *testing.T) {
	b := writeZip(t, zip.Store, map[string][]byte{"m/a": noise(100)}, "m/a")
	for n := range b {
		if _, err := openZip(bytes.NewReader(b[:n]), int64(n), "m.pt", Limits{}); err == nil {
			t.Errorf("the first %d of %d bytes pass", n, len(b))
		}
	}
}

func BenchmarkOpenZip(b *testing.B) {
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf("m/data/%d", i)
	}
	z := writeZip(b, zip.Store, nil, names...)
	b.SetBytes(int64(len(z)))
	b.ReportAllocs()
	for b.Loop() {
		open(b, z, Limits{})
	}
}
