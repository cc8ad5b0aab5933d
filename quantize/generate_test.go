package quantize

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The kernels, their declarations and the methods that call them are committed;
// this makes them again, where the generator's modules are at hand.
func TestCommittedKernelsAreWhatTheGeneratorWrites(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the generator")
	}
	dir := t.TempDir()
	generator := filepath.Join(dir, "asm.exe")
	build := exec.Command("go", "-C", "asm", "build", "-o", generator, ".")
	build.Env = append(os.Environ(), "GOPROXY=off", "GOOS=", "GOARCH=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("the generator cannot be built here: %v\n%s", err, out)
	}
	names := []string{"kernels_amd64.s", "kernels_amd64.go", "calls_amd64.go"}
	made := func(name string) string { return filepath.Join(dir, name) }
	run := exec.Command(generator, "-out", made(names[0]), "-stubs", made(names[1]), "-calls", made(names[2]), "-pkg", "quantize")
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range names {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(made(name))
		if err != nil {
			t.Fatal(err)
		}
		// The first line has the command.
		_, got, _ = bytes.Cut(got, []byte("\n"))
		_, want, _ = bytes.Cut(want, []byte("\n"))
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator writes; go generate ./quantize", name)
		}
	}
}
