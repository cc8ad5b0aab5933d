//go:build interop

package interop

import (
	"os"
	"os/exec"
	"testing"
)

// The weights of a model stay in its file while it is verified, and while it runs.
func TestMemoryOfVerifyingIsBounded(t *testing.T) {
	const most = 1e9
	model := hollowModel(t)
	cmd := exec.Command(need(t, smeltBinary), "verify", model, model, "--workers", "2", "--quiet")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	peak := peakPrivate(cmd.Process.Pid)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%.0f MB of private memory", float64(peak)/1e6)
	if peak == 0 || peak >= most {
		t.Errorf("%d bytes of private memory, want some and less than %.0f", peak, most)
	}
}
