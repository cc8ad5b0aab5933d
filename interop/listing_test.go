//go:build interop

package interop

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Storage bytes are not touched to say what a file holds, so its size does not matter.
func TestListingIsFastAndSmallWhateverTheFilesSize(t *testing.T) {
	dir := torchFiles(t, "2.11", need(t, python))
	idle := best(t, "--version")
	for _, c := range []struct {
		name  string
		file  string
		limit time.Duration // beyond what starting the program takes
	}{
		{"128 MB in 32 tensors", "large_128mb.pt", 5 * time.Millisecond},
		{"10,000 tensors", "many_tensors.pt", 300 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := best(t, "inspect", filepath.Join(dir, c.file))
			took, more := got.took-idle.took, got.peak-idle.peak
			t.Logf("%v and %d KB more than the idle program's %v and %d KB", took, more>>10, idle.took, idle.peak>>10)
			if took > c.limit {
				t.Errorf("listing takes %v, want at most %v", took, c.limit)
			}
			if more > 20<<20 {
				t.Errorf("listing takes %d bytes of memory, want at most 20 MB", more)
			}
		})
	}
}

type cost struct {
	took time.Duration
	peak int64 // resident bytes, mapped pages included
}

// watch prints the peak memory in KB of the command it runs. A child's figure starts at that of the process that made it,
// so a small process has to make it.
const watch = `import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)`

// best returns the least time and memory of several runs: what the work costs without what others do meanwhile.
func best(t *testing.T, args ...string) cost {
	t.Helper()
	program := need(t, smeltBinary)
	least := cost{time.Hour, 1 << 62}
	for range 20 {
		cmd := exec.Command(program, args...)
		began := time.Now()
		output(t, cmd)
		least.took = min(least.took, time.Since(began))
	}
	for range 3 {
		out := output(t, exec.Command(need(t, python), append([]string{"-c", watch, program}, args...)...))
		kb, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		least.peak = min(least.peak, kb<<10)
	}
	return least
}
