package pickle

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// folder makes a folder of files with slash-separated names.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// verdicts scans a folder and returns the verdicts by name.
func verdicts(t *testing.T, dir string) map[string]Verdict {
	t.Helper()
	reps, err := Scan(context.Background(), dir, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Verdict{}
	for _, r := range reps {
		rel, err := filepath.Rel(dir, r.Path)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.ToSlash(rel)] = r.Verdict
	}
	return out
}

const (
	evilPickle = "\x80\x02cos\nsystem\nX\x04\x00\x00\x00echo\x85R."
	goodPickle = "\x80\x02]."
)

func TestScanOfAFolderReportsWhatCanHoldPickles(t *testing.T) {
	dir := folder(t, map[string]string{
		"README.md":         "# a model\n",
		"config.json":       `{"dim": 64}`,
		"model.safetensors": "\x08\x00\x00\x00\x00\x00\x00\x00{}      ",
		"weights.pt":        "<html>",
		"a/b/evil":          evilPickle,
		"a/good.pkl":        goodPickle,
		"a/text.pkl":        "just text",
		"data.tar.gz":       "\x1f\x8b\x08\x00",
		".metadata":         goodPickle,
		"page.html":         "<html>",
	})
	want := map[string]Verdict{
		"weights.pt": VerdictUnreadable, "a/b/evil": VerdictDangerous, "a/good.pkl": VerdictSafe,
		"a/text.pkl": VerdictUnreadable, "data.tar.gz": VerdictUnreadable, ".metadata": VerdictSafe,
	}
	if got := verdicts(t, dir); !maps.Equal(got, want) {
		t.Errorf("verdicts %v, want %v", got, want)
	}
}

func TestScanOfAFileAlwaysReports(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want Verdict
	}{
		"README.md":         {"# a model\n", VerdictUnreadable},
		"model.safetensors": {"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", VerdictSafe},
		"good":              {goodPickle, VerdictSafe},
	} {
		dir := folder(t, map[string]string{name: c.text})
		reps, err := Scan(context.Background(), filepath.Join(dir, name), ScanOptions{})
		if err != nil || len(reps) != 1 || reps[0].Verdict != c.want {
			t.Errorf("Scan(%s) = %+v, %v; want one report: %s", name, reps, err, c.want)
		}
	}
}

func TestScanFollowsLinksOnce(t *testing.T) {
	dir := folder(t, map[string]string{"blobs/x": evilPickle, "snapshot/empty": ""})
	for link, to := range map[string]string{"snapshot/model.bin": "../blobs/x", "snapshot/self": ".", "blobs/up": ".."} {
		if err := os.Symlink(filepath.FromSlash(to), filepath.Join(dir, filepath.FromSlash(link))); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
	want := map[string]Verdict{"blobs/x": VerdictDangerous, "snapshot/model.bin": VerdictDangerous}
	if got := verdicts(t, dir); !maps.Equal(got, want) {
		t.Errorf("verdicts %v, want %v", got, want)
	}
}

func TestScanDoesNotWaitForPipes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pipe.pt")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip("no pipes here:", err)
	}
	done := make(chan map[string]Verdict, 1)
	go func() { done <- verdicts(t, dir) }()
	select {
	case got := <-done:
		if got["pipe.pt"] != VerdictUnreadable {
			t.Errorf("verdicts %v, want pipe.pt unreadable", got)
		}
	case <-time.After(20 * time.Second):
		t.Error("the scan waits for somebody to write into the pipe")
	}
}

func TestScanReportsWhatCannotBeOpened(t *testing.T) {
	dir := folder(t, map[string]string{"a.pt": goodPickle})
	if err := os.Symlink("nowhere", filepath.Join(dir, "broken.pt")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	want := map[string]Verdict{"a.pt": VerdictSafe, "broken.pt": VerdictUnreadable}
	if got := verdicts(t, dir); !maps.Equal(got, want) {
		t.Errorf("verdicts %v, want %v", got, want)
	}
	if _, err := Scan(context.Background(), filepath.Join(dir, "none"), ScanOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Scan of nothing: %v, want ErrNotExist", err)
	}
}

func TestScanStopsWhenItsContextIsDone(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := folder(t, map[string]string{"a.pt": goodPickle})
	if _, err := Scan(ctx, dir, ScanOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Scan of a folder: %v, want Canceled", err)
	}
	rep := ScanReader(ctx, strings.NewReader(goodPickle), int64(len(goodPickle)), "a.pt", ScanOptions{})
	if rep.Verdict != VerdictUnreadable {
		t.Errorf("ScanReader says %s, want unreadable: nothing was examined", rep.Verdict)
	}
}

func TestReportIsStableJSON(t *testing.T) {
	rep := ScanReader(context.Background(), strings.NewReader(evilPickle), int64(len(evilPickle)), "evil.pkl", ScanOptions{})
	got, err := json.Marshal(rep)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"path":"evil.pkl","verdict":"dangerous","globals":[{"module":"os","name":"system","kind":"dangerous","offset":2,"opcode":"GLOBAL","use":"called","count":1,"why":"runs programs"}],"errors":[],"format":"pickle","pickles":[{"offset":0,"size":25,"protocol":2,"opcodes":6}]}`
	if string(got) != want {
		t.Errorf("report %s\nwant   %s", got, want)
	}
	got, err = json.Marshal(ScanReader(context.Background(), strings.NewReader(goodPickle), int64(len(goodPickle)), "good.pkl", ScanOptions{}))
	if err != nil || !strings.Contains(string(got), `"globals":[],"errors":[]`) {
		t.Errorf("report %s, %v; want empty lists, not null", got, err)
	}
}

func TestScanCountsAGlobalOncePerMember(t *testing.T) {
	b := writeZip(t, zip.Deflate, map[string][]byte{"m/data.pkl": []byte(evilPickle + evilPickle), "m/b.pkl": []byte(evilPickle)}, "m/data.pkl", "m/b.pkl")
	rep := ScanReader(context.Background(), bytes.NewReader(b), int64(len(b)), "m.pt", ScanOptions{})
	var got []string
	for _, g := range rep.Globals {
		got = append(got, g.Member+" "+g.Name+" "+g.Use+" "+string(rune('0'+g.Count)))
	}
	if want := []string{"m/data.pkl system called 2", "m/b.pkl system called 1"}; !slices.Equal(got, want) {
		t.Errorf("globals %q, want %q", got, want)
	}
}

// A .distcp file is one archive behind the other, and readers of zip files see
// only the last.
func TestScanSeesEveryArchiveOfADistributedCheckpoint(t *testing.T) {
	evil := writeZip(t, zip.Store, map[string][]byte{"archive/data.pkl": []byte(evilPickle)}, "archive/data.pkl")
	good := writeZip(t, zip.Store, map[string][]byte{"archive/data.pkl": []byte(goodPickle)}, "archive/data.pkl")
	for _, c := range []struct {
		name string
		path string
		b    []byte
		want Verdict
	}{
		{"three good ones", "__0_0.distcp", slices.Concat(good, good, good), VerdictSafe},
		{"the first is harmful", "__0_0.distcp", slices.Concat(evil, good, good), VerdictDangerous},
		{"the second is harmful", "__0_0.distcp", slices.Concat(good, evil, good), VerdictDangerous},
		{"under another name", "model.pt", slices.Concat(good, good), VerdictUnreadable},
		{"something in front", "__0_0.distcp", append([]byte(evilPickle), good...), VerdictDangerous},
	} {
		rep := ScanReader(context.Background(), bytes.NewReader(c.b), int64(len(c.b)), c.path, ScanOptions{})
		if rep.Verdict != c.want {
			t.Errorf("%s: %s, want %s; errors %q, pickles %v", c.name, rep.Verdict, c.want, rep.Errors, rep.Pickles)
		}
	}
}

func TestScanReadsPicklesThatAreLongerThanItsWindow(t *testing.T) {
	long := "\x80\x02](" + strings.Repeat("X\x05\x00\x00\x00hello", 30_000) + "ecos\nsystem\n\x86."
	two := long + goodPickle + long
	rep := ScanReader(context.Background(), strings.NewReader(two), int64(len(two)), "m.pkl", ScanOptions{})
	if len(rep.Pickles) != 3 || len(rep.Errors) > 0 || len(rep.Globals) != 1 || rep.Globals[0].Count != 2 || rep.Globals[0].Offset != 300_005 {
		t.Errorf("%d pickles, globals %v, errors %q; want 3, os.system twice, none", len(rep.Pickles), rep.Globals, rep.Errors)
	}
}

func TestScanOfCheckpointsThatPyTorchWrote(t *testing.T) {
	reps, err := Scan(context.Background(), filepath.Join("testdata", "torch"), ScanOptions{})
	if err != nil || len(reps) < 10 {
		t.Fatalf("Scan = %d reports, %v; want one for each checkpoint", len(reps), err)
	}
	for _, r := range reps {
		for _, g := range r.Globals {
			if g.Kind == Unknown && !strings.HasPrefix(g.Module, "thirdparty.") {
				t.Errorf("%s: %s.%s is unknown", r.Path, g.Module, g.Name)
			}
		}
		if r.Verdict != VerdictSafe && r.Verdict != VerdictUnknown || len(r.Pickles) == 0 {
			t.Errorf("%s: %s with %d pickles, errors %q", r.Path, r.Verdict, len(r.Pickles), r.Errors)
		}
	}
}

// sparse keeps what is written but for pages of zeros.
type sparse struct {
	pages map[int64][]byte
	size  int64
	rest  []byte
}

const sparsePage = 64 << 10

func (s *sparse) Write(b []byte) (int, error) {
	n := len(b)
	s.size += int64(n)
	s.rest = append(s.rest, b...)
	for len(s.rest) >= sparsePage {
		s.keep(s.size-int64(len(s.rest)), s.rest[:sparsePage])
		s.rest = s.rest[sparsePage:]
	}
	return n, nil
}

func (s *sparse) keep(off int64, page []byte) {
	if !isZeros(page) {
		s.pages[off/sparsePage] = bytes.Clone(page)
	}
}

func (s *sparse) ReadAt(b []byte, off int64) (int, error) {
	for i := range b {
		b[i] = 0
		if page := s.pages[(off+int64(i))/sparsePage]; page != nil && (off+int64(i))%sparsePage < int64(len(page)) {
			b[i] = page[(off+int64(i))%sparsePage]
		}
	}
	return len(b), nil
}

func TestScanOfALargeArchiveIsComplete(t *testing.T) {
	s := &sparse{pages: map[int64][]byte{}}
	w := zip.NewWriter(s)
	for _, m := range []struct {
		name string
		text []byte
		n    int
	}{{"m/data.pkl", []byte(goodPickle), 1}, {"m/data/0", make([]byte, 1<<20), 300}, {"m/data/1", []byte(evilPickle), 1}} {
		f, err := w.CreateHeader(&zip.FileHeader{Name: m.name, Method: zip.Store})
		for i := 0; i < m.n && err == nil; i++ {
			_, err = f.Write(m.text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s.keep(s.size-int64(len(s.rest)), s.rest)
	rep := ScanReader(context.Background(), s, s.size, "m.pt", ScanOptions{})
	if rep.Verdict != VerdictDangerous || len(rep.Errors) > 0 || rep.Globals[0].Member != "m/data/1" {
		t.Errorf("%s, globals %v, errors %q; want os.system in the member behind 300 MB", rep.Verdict, rep.Globals, rep.Errors)
	}
}
