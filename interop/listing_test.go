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

// Storage bytes are not touched to say what a file holds, so its size does not matter. Times are in the log; the benchmarks
// of package pickle measure them.
func TestListingIsSmallWhateverTheFilesSize(t *testing.T) {
	dir := torchFiles(t, "2.11", need(t, python))
	idle := best(t, "--version")
	for _, c := range []struct {
		name  string
		file  string
		limit int64 // bytes of memory
	}{
		{"128 MB in 32 tensors", "large_128mb.pt", 20 << 20},
		{"10,000 tensors", "many_tensors.pt", 64 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := best(t, "inspect", filepath.Join(dir, c.file))
			t.Logf("%v and %d KB; the idle program takes %v and %d KB", got.took, got.peak>>10, idle.took, idle.peak>>10)
			if got.peak > c.limit {
				t.Errorf("listing takes %d bytes of memory, want at most %d", got.peak, c.limit)
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
