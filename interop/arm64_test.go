//go:build interop

package interop

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var qemu = peer{"qemu-aarch64-static", setup, func() (string, error) { return exec.LookPath("qemu-aarch64-static") }}

// forARM64 sets the environment of the go command.
func forARM64(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	return cmd
}

func TestBlocksEqualThoseOfGGMLOnARM64(t *testing.T) {
	cmd := forARM64(exec.Command("go", "test", "-count", "1", "-exec", need(t, qemu), "-v", "-run", "^TestBytesEqualThoseOfGGML$", "./quantize"))
	cmd.Dir = ".."
	if out := string(output(t, cmd)); !strings.Contains(out, "--- PASS: TestBytesEqualThoseOfGGML") {
		t.Errorf("the golden blocks were not compared:\n%s", tail([]byte(out)))
	}
}

// What both write from a model of f32, f16 and bf16: a type of each kind of search.
const typesOnARM64 = "F16,BF16,Q8_0,Q4_0,Q5_1,Q4_K_M,Q3_K_M,Q6_K,IQ4_XS,IQ3_S,TQ2_0,MXFP4_MOE"

func TestBytesAreTheSameOnARM64(t *testing.T) {
	emulator, dir := need(t, qemu), t.TempDir()
	source, program := filepath.Join(dir, "dense.gguf"), filepath.Join(dir, "smelt-arm64")
	script(t, need(t, python), "make_dense.py", source, "1", "256", "512", "256")
	build := forARM64(exec.Command("go", "build", "-o", program, "./cmd/smelt"))
	build.Dir = ".."
	output(t, build)
	var want map[string]string
	for _, run := range []struct {
		name    string
		command []string
	}{{"amd64", []string{need(t, smeltBinary)}}, {"arm64", []string{emulator, program}}} {
		for _, workers := range []string{"1", "2", "16"} {
			out := filepath.Join(t.TempDir(), "out-{type}.gguf")
			command := slices.Concat(run.command, []string{"quantize", source, out, typesOnARM64, "--workers", workers, "--quiet"})
			output(t, exec.Command(command[0], command[1:]...))
			got := digests(t, filepath.Dir(out))
			if want == nil {
				want = got
			}
			if !maps.Equal(got, want) || len(got) != strings.Count(typesOnARM64, ",")+1 {
				t.Errorf("%s with %s workers: %v, want %v", run.name, workers, got, want)
			}
		}
	}
}

// digests returns that of every file of a folder by its name.
func digests(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for _, e := range entries {
		sums[e.Name()] = fileSHA256(t, filepath.Join(dir, e.Name()))
	}
	return sums
}
