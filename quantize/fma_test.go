package quantize

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// Go may fuse x*y + z where the processor can, and arm64 can: the bytes would
// depend on the platform. An explicit float32(x*y) forbids it
// (go.dev/ref/spec#Floating_point_operators).
func TestNothingIsFusedOnARM64(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the package for arm64; left out with -short")
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skipf("the go command is missing: %v", err)
	}
	archive := filepath.Join(t.TempDir(), "quantize.a")
	run := func(args ...string) []byte {
		cmd := exec.Command(goTool, args...)
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, stderr.Bytes())
		}
		return out
	}
	run("build", "-o", archive, ".")
	code := run("tool", "objdump", archive)
	if n := len(regexp.MustCompile(`\bFMULS\b`).FindAll(code, -1)); n < 100 {
		t.Fatalf("%d float32 products in the object code; want the package's", n)
	}
	for _, line := range regexp.MustCompile(`(?m)^.*\bFN?M(ADD|SUB)[SD]\b.*$`).FindAll(code, -1) {
		t.Errorf("fused: %s", line)
	}
}
