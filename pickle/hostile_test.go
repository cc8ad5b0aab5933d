package pickle

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/smelt-project/smelt/internal/hostile"
	"github.com/smelt-project/smelt/tensor"
)

// What any file may cost: this much memory besides its own size, and this much
// processor time.
const (
	hostileBytes = 64 << 20
	hostileTime  = 2 * time.Second
)

func TestHostileCorpusIsLargeEnoughAndNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range hostile.All() {
		if seen[c.Name] || (c.Make == nil) == (c.Folder == nil) || c.What == "" {
			t.Errorf("case %q is twice, or not one file or folder, or says nothing", c.Name)
		}
		seen[c.Name] = true
	}
	if len(seen) < 150 {
		t.Errorf("%d cases, want at least 150", len(seen))
	}
}

func TestScanOfHostileFiles(t *testing.T) {
	for _, c := range hostile.All() {
		t.Run(c.Name, func(t *testing.T) {
			if c.Folder != nil {
				scanFolder(t, c)
				return
			}
			b := contents(t, c)
			var rep *Report
			within(t, c, "scan", len(b), func() {
				rep = ScanReader(context.Background(), bytes.NewReader(b), int64(len(b)), c.Name, ScanOptions{})
			})
			checkReport(t, c, *rep)
		})
	}
}

// contents makes a case, unless that would take minutes.
func contents(t *testing.T, c hostile.Case) []byte {
	t.Helper()
	if c.Heavy && raceEnabled {
		t.Skip("too slow with the race detector")
	}
	return c.Make()
}

func scanFolder(t *testing.T, c hostile.Case) {
	dir := t.TempDir()
	for name, b := range c.Folder() {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	reps, err := Scan(context.Background(), dir, ScanOptions{})
	if err != nil || len(reps) != len(c.Folder()) {
		t.Fatalf("Scan = %d reports, %v; want one for each of %d files", len(reps), err, len(c.Folder()))
	}
	for _, rep := range reps {
		checkReport(t, c, rep)
	}
}

func checkReport(t *testing.T, c hostile.Case, rep Report) {
	t.Helper()
	if string(rep.Verdict) != c.Scan {
		t.Errorf("%s: verdict %s, want %s\nglobals %v\nerrors %.1000q", c.What, rep.Verdict, c.Scan, rep.Globals[:min(5, len(rep.Globals))], rep.Errors)
	}
	for _, e := range rep.Errors {
		if !strings.Contains(e, filepath.Base(rep.Path)) && !strings.HasPrefix(e, "more of") {
			t.Errorf("error %q does not name the file", e)
		}
		if !printable(e) {
			t.Errorf("error %q has control characters", e)
		}
	}
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func TestReadOfHostileFiles(t *testing.T) {
	for _, c := range hostile.All() {
		t.Run(c.Name, func(t *testing.T) {
			var m *tensor.Model
			var err error
			if c.Folder != nil {
				m, err = ReadDistributed(memFiles(c.Folder()), c.Name, Options{})
			} else {
				b := contents(t, c)
				within(t, c, "read", len(b), func() {
					m, err = Read(bytes.NewReader(b), int64(len(b)), c.Name, Options{})
				})
			}
			checkRead(t, c, m, err)
		})
	}
}

func checkRead(t *testing.T, c hostile.Case, m *tensor.Model, err error) {
	t.Helper()
	got := hostile.Right
	switch {
	case errors.Is(err, ErrDangerous):
		got = hostile.Danger
	case err != nil:
		got = hostile.Refused
	}
	if got != c.Read {
		t.Fatalf("%s: reading is %s (%.300v), want %s", c.What, got, err, c.Read)
	}
	if err != nil {
		checkLocated(t, c, err)
		return
	}
	for name, want := range c.Tensors {
		x := m.Tensor(name)
		if x == nil {
			t.Errorf("no tensor %q", name)
			continue
		}
		if got, err := floats(x); err != nil || !slices.Equal(got, want) {
			t.Errorf("tensor %q = %v, %v; want %v", name, got, err, want)
		}
	}
	for _, x := range m.Tensors() {
		if !printable(x.Name) {
			t.Errorf("tensor name %q has control characters", x.Name)
		}
	}
}

func floats(x *tensor.Tensor) ([]float32, error) {
	b, err := x.ReadAll()
	if err != nil {
		return nil, err
	}
	if x.DType != tensor.F32 {
		return nil, fmt.Errorf("type %v", x.DType)
	}
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out, nil
}

// checkLocated requires that an error names the file, and a place in it unless
// the whole file is meant.
func checkLocated(t *testing.T, c hostile.Case, err error) {
	t.Helper()
	if !printable(err.Error()) || len(err.Error()) > 2000 {
		t.Errorf("error of %d bytes, or with control characters: %.300q", len(err.Error()), err)
	}
	var danger *DangerError
	if errors.As(err, &danger) {
		if danger.File != c.Name || len(danger.Globals) == 0 {
			t.Errorf("DangerError of file %q with %d globals, want %q and at least one", danger.File, len(danger.Globals), c.Name)
		}
		return
	}
	var at *tensor.Error
	if !errors.As(err, &at) || !strings.HasPrefix(at.File, c.Name) {
		t.Errorf("error %q does not name the file", err)
		return
	}
	if at.Member == "" && at.Offset <= 0 && at.Tensor == "" && !ofWholeFile(at) {
		t.Errorf("error %q names no member, tensor or offset", err)
	}
}

// ofWholeFile reports whether an error is about a file that is something else or
// too much as a whole, so that no place in it is to blame.
func ofWholeFile(e *tensor.Error) bool {
	return errors.Is(e, tensor.ErrUnsupported) || errors.Is(e, tensor.ErrTooLarge) || errors.Is(e, tensor.ErrNotFound)
}

// within runs step and checks what it costs. Go's own count of all bytes that
// were ever allocated is an upper bound of the memory; where that is too much,
// the step is repeated in a process of its own and the system's count decides.
func within(t *testing.T, c hostile.Case, step string, size int, run func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := processorTime()
	run()
	if took := processorTime() - start; took > hostileTime && !raceEnabled {
		t.Errorf("%s takes %v, the limit is %v", step, took, hostileTime)
	}
	runtime.ReadMemStats(&after)
	if limit := uint64(hostileBytes + size); after.TotalAlloc-before.TotalAlloc > limit && !raceEnabled && runtime.GOOS == "linux" {
		peak, err := peakOf(c.Name, c.Make(), step, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if peak > limit {
			t.Errorf("%s takes %d MB at its peak, the limit is %d MB", step, peak>>20, limit>>20)
		}
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// childCase and childStep tell a child process what to do.
const (
	childCase = "SMELT_HOSTILE_CASE"
	childStep = "SMELT_HOSTILE_STEP"
)

// peakOf runs one step on a file in a process of its own and returns the most
// memory it had.
func peakOf(name string, b []byte, step, dir string) (uint64, error) {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return 0, err
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHostileChild$", "-test.v")
	cmd.Env = append(os.Environ(), childCase+"="+path, childStep+"="+step)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	_, peak, ok := bytes.Cut(out, []byte(peakMark))
	if !ok {
		return 0, fmt.Errorf("the child did not measure its memory: %s", out)
	}
	var kb uint64
	if _, err := fmt.Sscan(string(peak), &kb); err != nil {
		return 0, err
	}
	return kb << 10, nil
}

// peakMark precedes the largest resident size in the child's output, in KiB.
const peakMark = "peak memory in KiB: "

func TestHostileChild(t *testing.T) {
	path := os.Getenv(childCase)
	if path == "" {
		t.Skip("runs as a child of the tests that measure memory")
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv(childStep) == "scan" {
		ScanReader(context.Background(), f, info.Size(), path, ScanOptions{})
	} else if m, err := Read(f, info.Size(), path, Options{}); (m == nil) == (err == nil) {
		t.Errorf("Read = %v, %v", m, err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	t.Log(peakMark, strings.Fields(peak)[0])
}

// memFiles is a folder in memory.
type memFiles map[string][]byte

func (m memFiles) Open(name string) (io.ReaderAt, int64, error) {
	b, ok := m[name]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return bytes.NewReader(b), int64(len(b)), nil
}

func (m memFiles) Names() ([]string, error) { return slices.Sorted(maps.Keys(m)), nil }
