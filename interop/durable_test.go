//go:build interop

package interop

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// conversions are the two that take long enough to be interrupted, one for each format that is written.
var conversions = []struct{ name, source, output string }{
	{"whisper to bin", "whisper-base.pt", "out.bin"},
	{"smollm2 to gguf", "smollm2.pt", "out.gguf"},
}

func TestOutputDoesNotDependOnWorkers(t *testing.T) {
	for _, c := range conversions {
		for _, kind := range []string{"f16", "f32"} {
			if kind == "f32" && filepath.Ext(c.output) == ".bin" {
				continue // whisper.cpp runs no such file
			}
			t.Run(c.name+" "+kind, func(t *testing.T) {
				src, dir := need(t, model(c.source)), t.TempDir()
				digests := map[string][]string{}
				for _, workers := range []string{"1", "2", "16"} {
					out := filepath.Join(dir, workers+filepath.Ext(c.output))
					smelt(t, "convert", src, out, "--type", kind, "--workers", workers)
					d := fileSHA256(t, out)
					digests[d] = append(digests[d], workers)
				}
				if len(digests) != 1 {
					t.Errorf("digests by workers = %v, want one", digests)
				}
			})
		}
	}
}

// A killed conversion leaves nothing under the result's name, or all of it; and nothing that could be taken for it.
func TestKillAtAnyPointLeavesNothingOrTheWholeFile(t *testing.T) {
	const points = 50
	for _, c := range conversions {
		t.Run(c.name, func(t *testing.T) {
			src, bin, dir := need(t, model(c.source)), need(t, smeltBinary), t.TempDir()
			out := filepath.Join(dir, c.output)
			began := time.Now()
			smelt(t, "convert", src, out)
			whole, took := fileSHA256(t, out), time.Since(began)
			random := rand.New(rand.NewPCG(1, uint64(len(c.name))))
			killed, finished := 0, 0
			for attempts := 0; killed < points && attempts < 10*points; attempts++ {
				if err := os.Remove(out); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
				after := time.Duration(random.Int64N(int64(took) * 11 / 10))
				if stopped(t, exec.Command(bin, "convert", src, out), syscall.SIGKILL, after) {
					killed++
				} else {
					took = took * 19 / 20 // the first run was slower than most: aim earlier
				}
				if exists(t, out) {
					finished++
					if got := fileSHA256(t, out); got != whole {
						t.Fatalf("killed after %v: the result has SHA-256 %s, want %s or no file", after, got, whole)
					}
				}
				noPretender(t, dir, c.output)
			}
			t.Logf("%d runs killed, %d left the whole file; a run takes %v", killed, finished, took)
			if killed < points {
				t.Errorf("only %d runs were killed before they ended, want %d", killed, points)
			}
			smelt(t, "convert", src, out, "--force")
			if got := fileSHA256(t, out); got != whole {
				t.Errorf("after all kills a run gives SHA-256 %s, want %s", got, whole)
			}
		})
	}
}

func TestKillWhileReplacingLeavesTheOldFileOrTheNew(t *testing.T) {
	src, bin, dir := need(t, model("whisper-base.pt")), need(t, smeltBinary), t.TempDir()
	out := filepath.Join(dir, "out.bin")
	began := time.Now()
	smelt(t, "convert", src, out)
	whole, took := fileSHA256(t, out), time.Since(began)
	random := rand.New(rand.NewPCG(2, 2))
	for range 10 {
		if err := os.WriteFile(out, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		stopped(t, exec.Command(bin, "convert", src, out, "--force"), syscall.SIGKILL, time.Duration(random.Int64N(int64(took))))
		if b := readFile(t, out); string(b) != "old" && fileSHA256(t, out) != whole {
			t.Fatalf("the file has %d bytes that are neither the old nor the new", len(b))
		}
	}
}

func TestInterruptLeavesNothingAndSaysSo(t *testing.T) {
	for _, c := range conversions {
		t.Run(c.name, func(t *testing.T) {
			src, bin, dir := need(t, model(c.source)), need(t, smeltBinary), t.TempDir()
			out := filepath.Join(dir, c.output)
			began := time.Now()
			smelt(t, "convert", src, out)
			took := time.Since(began)
			interrupted := 0
			for i := range 8 {
				if err := os.Remove(out); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
				var stderr strings.Builder
				cmd := exec.Command(bin, "convert", src, out)
				cmd.Stderr = &stderr
				stopped(t, cmd, os.Interrupt, took*time.Duration(i+1)/10)
				if cmd.ProcessState.ExitCode() == 0 {
					onlyFiles(t, dir, c.output)
					continue
				}
				if !cmd.ProcessState.Exited() {
					continue // before the program was ready to listen
				}
				interrupted++
				onlyFiles(t, dir)
				if !strings.Contains(strings.ToLower(stderr.String()), "interrupt") {
					t.Errorf("exit %d does not mention the interruption: %s", cmd.ProcessState.ExitCode(), stderr.String())
				}
			}
			if interrupted == 0 {
				t.Error("no run was interrupted before it ended")
			}
		})
	}
}

// A disk of 20 MB cannot hold either result.
func TestAFullDiskLeavesNothingAndSaysSo(t *testing.T) {
	for _, c := range conversions {
		t.Run(c.name, func(t *testing.T) {
			src, disk := need(t, model(c.source)), smallDisk(t, "20m")
			r := try(t, "convert", src, filepath.Join(disk, c.output))
			if r.code != 1 || !strings.Contains(r.stderr, "space") {
				t.Errorf("exit %d, want 1 and a word about space\n%s", r.code, r.stderr)
			}
			onlyFiles(t, disk)
		})
	}
}

// The disk has room when the conversion begins, and is filled by somebody else while it runs.
func TestADiskThatFillsUpMeanwhileLeavesNothingOrTheWholeFile(t *testing.T) {
	src, bin := need(t, model("whisper-base.pt")), need(t, smeltBinary)
	whole := filepath.Join(t.TempDir(), "out.bin")
	smelt(t, "convert", src, whole)
	disk := smallDisk(t, "200m")
	cmd := exec.Command(bin, "convert", src, filepath.Join(disk, "out.bin"))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(disk, "filler"))
	err := cmd.Wait()
	if err == nil {
		if got, want := fileSHA256(t, filepath.Join(disk, "out.bin")), fileSHA256(t, whole); got != want {
			t.Errorf("SHA-256 = %s, want %s", got, want)
		}
		return
	}
	if !strings.Contains(stderr.String(), "space") {
		t.Errorf("%v without a word about space: %s", err, stderr.String())
	}
	onlyFiles(t, disk, "filler")
}

// A limit on file size fails in the middle of writing, where a full disk may be noticed before.
func TestAFileSizeLimitLeavesNothingAndSaysSo(t *testing.T) {
	for _, c := range conversions {
		t.Run(c.name, func(t *testing.T) {
			src, bin, dir := need(t, model(c.source)), need(t, smeltBinary), t.TempDir()
			limited := `trap "" XFSZ; ulimit -f 20480; exec "$@"` // blocks of 1,024 bytes in bash; the signal becomes EFBIG
			r := finish(t, exec.Command("bash", "-c", limited, "limited", bin, "convert", src, filepath.Join(dir, c.output)))
			if r.code != 1 || !strings.Contains(r.stderr, "file too large") {
				t.Errorf("exit %d, want 1 and \"file too large\"\n%s", r.code, r.stderr)
			}
			onlyFiles(t, dir)
		})
	}
}

func TestAnExistingResultNeedsForce(t *testing.T) {
	src, out := stories(t), filepath.Join(t.TempDir(), "out.gguf")
	if err := os.WriteFile(out, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := try(t, "convert", src, out); r.code == 0 || !strings.Contains(r.stderr, "--force") {
		t.Errorf("exit %d, want a refusal that names --force\n%s", r.code, r.stderr)
	}
	if got := readFile(t, out); string(got) != "precious" {
		t.Errorf("the file became %d other bytes", len(got))
	}
	smelt(t, "convert", src, out, "--force")
}

// stopped starts cmd, sends it sig after a while, waits for its end, and says whether the signal came before that.
func stopped(t *testing.T, cmd *exec.Cmd, sig os.Signal, after time.Duration) bool {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() {
		if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	})
	err := cmd.Wait()
	timer.Stop()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err != nil
}

// onlyFiles fails if dir holds anything but names.
func onlyFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(names)
	if !slices.Equal(got, names) {
		t.Errorf("the folder holds %q, want %q", got, names)
	}
}

// noPretender fails if dir holds a file that a program or person could take for the result.
func noPretender(t *testing.T, dir, output string) {
	t.Helper()
	others, err := filepath.Glob(filepath.Join(dir, "*"+filepath.Ext(output)))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range others {
		if filepath.Base(path) != output {
			t.Errorf("an unfinished file is left as %s", filepath.Base(path))
		}
	}
}

// smallDisk mounts an empty file system of the given size. It needs root, which is no program that could be installed, so
// without it the test always skips; a limit on file sizes is tested in cmd/smelt everywhere.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "smelt-test", dir).CombinedOutput(); err != nil {
		t.Skipf("a small disk cannot be mounted, root can: %v: %s", err, lastLine(out))
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fill writes to path until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for {
		if _, err := f.Write(block); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Error(err)
			}
			return
		}
	}
}
