//go:build interop

package interop

import (
	"encoding/json"
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

// imports are the ways in which a model gets into a store.
var imports = []struct {
	name, source string
	flags        []string
}{
	{"a copied GGUF", "smollm2-135m-instruct.Q4_1.gguf", []string{"--copy"}},
	{"a linked GGUF", "smollm2-135m-instruct.Q4_1.gguf", nil},
	{"a checkpoint", "smollm2.pt", nil},
}

// A storeCheck is what smelt ollama check --json prints.
type storeCheck struct {
	Models   int
	Whole    bool
	Findings []struct{ Kind, Path, Error string }
}

func checkStore(t *testing.T, dir string) storeCheck {
	t.Helper()
	r := try(t, "ollama", "check", "--ollama-dir", dir, "--json")
	var c storeCheck
	if err := json.Unmarshal([]byte(r.stdout), &c); err != nil {
		t.Fatalf("check prints %q, %q: %v", r.stdout, r.stderr, err)
	}
	return c
}

// sourceBeside copies a model next to the store, so that it can be linked and the original stays as it is.
func sourceBeside(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	b := readFile(t, need(t, model(name)))
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// A killed import leaves the model out of the store or whole in it, and nothing that the next one does not tidy up.
func TestKillAtAnyPointOfAnImportLeavesTheStoreWhole(t *testing.T) {
	const points = 100
	for _, c := range imports {
		t.Run(c.name, func(t *testing.T) {
			src, bin, dir := sourceBeside(t, c.source), need(t, smeltBinary), filepath.Join(t.TempDir(), "models")
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			args := append([]string{"convert", src, "ollama:mine", "--ollama-dir", dir, "--force"}, c.flags...)
			began := time.Now()
			smelt(t, args...)
			took := time.Since(began)
			random := rand.New(rand.NewPCG(3, uint64(len(c.name))))
			killed, whole := 0, 0
			for attempts := 0; killed < points && attempts < 10*points; attempts++ {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
				after := time.Duration(random.Int64N(int64(took) * 11 / 10))
				if stopped(t, exec.Command(bin, args...), syscall.SIGKILL, after) {
					killed++
				} else {
					took = took * 19 / 20
				}
				if !exists(t, filepath.Join(dir, "manifests")) {
					continue // an empty folder is no store
				}
				got := checkStore(t, dir)
				if !got.Whole {
					t.Fatalf("killed after %v: %+v", after, got.Findings)
				}
				whole += got.Models
				if killed%10 != 0 {
					continue
				}
				smelt(t, args...)
				if got := checkStore(t, dir); got.Models != 1 || len(got.Findings) > 0 {
					t.Fatalf("killed after %v and run again: %d models, findings %+v; want one and none", after, got.Models, got.Findings)
				}
			}
			t.Logf("%d runs killed, %d left the whole model; a run takes %v", killed, whole, took)
			if killed < points {
				t.Errorf("only %d runs were killed before they ended, want %d", killed, points)
			}
		})
	}
}

// While one import replaces a model again and again, every check of the store finds it whole.
func TestStoreIsWholeWhileItIsWritten(t *testing.T) {
	src, dir := sourceBeside(t, "smollm2-135m-instruct.Q4_1.gguf"), filepath.Join(t.TempDir(), "models")
	smelt(t, "convert", src, "ollama:mine", "--ollama-dir", dir, "--copy")
	done := make(chan result, 2)
	for _, name := range []string{"ollama:mine", "ollama:other"} {
		go func() {
			var r result
			for range 5 {
				if r = try(t, "convert", src, name, "--ollama-dir", dir, "--copy", "--force"); r.code != 0 {
					break
				}
			}
			done <- r
		}()
	}
	for running := 2; running > 0; {
		if got := checkStore(t, dir); !got.Whole || got.Models < 1 {
			t.Fatalf("meanwhile: %d models, %+v", got.Models, got.Findings)
		}
		select {
		case r := <-done:
			running--
			if r.code != 0 {
				t.Errorf("exit %d: %s", r.code, r.stderr)
			}
		default:
		}
	}
}

// A disk of 20 MB cannot hold the model.
func TestAFullDiskLeavesTheStoreAsItWas(t *testing.T) {
	for _, c := range imports {
		t.Run(c.name, func(t *testing.T) {
			src, disk := need(t, model(c.source)), smallDisk(t, "20m")
			dir := filepath.Join(disk, "models")
			smelt(t, "convert", stories(t), "ollama:small", "--ollama-dir", dir)
			before := treeOf(t, dir)
			r := try(t, append([]string{"convert", src, "ollama:mine", "--ollama-dir", dir}, c.flags...)...)
			if r.code != 1 || !strings.Contains(r.stderr, "space") {
				t.Errorf("exit %d, want 1 and a word about space\n%s", r.code, r.stderr)
			}
			if after := treeOf(t, dir); !slices.Equal(before, after) {
				t.Errorf("the store holds %q, want %q", after, before)
			}
			if got := checkStore(t, dir); !got.Whole || len(got.Findings) > 0 {
				t.Errorf("%+v", got.Findings)
			}
		})
	}
}

// A limit on file size fails in the middle of writing.
func TestAFileSizeLimitLeavesTheStoreAsItWas(t *testing.T) {
	for _, c := range imports {
		if c.name == "a linked GGUF" {
			continue // nothing is written
		}
		t.Run(c.name, func(t *testing.T) {
			src, bin, dir := need(t, model(c.source)), need(t, smeltBinary), filepath.Join(t.TempDir(), "models")
			limited := `trap "" XFSZ; ulimit -f 20480; exec "$@"` // blocks of 1,024 bytes in bash
			args := append([]string{"-c", limited, "limited", bin, "convert", src, "ollama:mine", "--ollama-dir", dir}, c.flags...)
			r := finish(t, exec.Command("bash", args...))
			if r.code != 1 || !strings.Contains(r.stderr, "file too large") {
				t.Errorf("exit %d, want 1 and \"file too large\"\n%s", r.code, r.stderr)
			}
			if got := treeOf(t, dir); len(got) > 0 {
				t.Errorf("the store holds %q", got)
			}
		})
	}
}

// treeOf lists the files below dir.
func treeOf(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A model that goes through a store and shards keeps every byte of its GGUF.
func TestRoundTripThroughAStoreKeepsEveryByte(t *testing.T) {
	src, work := sourceBeside(t, "smollm2-135m-instruct.Q4_1.gguf"), t.TempDir()
	dir, out := filepath.Join(work, "models"), filepath.Join(work, "out.gguf")
	smelt(t, "convert", src, "ollama:mine", "--ollama-dir", dir)
	smelt(t, "convert", "ollama:mine", "ollama:there", "--ollama-dir", dir, "--ollama-to", filepath.Join(work, "other"))
	smelt(t, "convert", "ollama:there", out, "--raw", "--ollama-dir", filepath.Join(work, "other"))
	if got, want := fileSHA256(t, out), fileSHA256(t, src); got != want {
		t.Errorf("SHA-256 = %s, want %s", got, want)
	}
}
