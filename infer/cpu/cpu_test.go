package cpu

import (
	"testing"

	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/backendtest"
)

// onKernels calls f for every set of kernels of this build that this machine runs.
func onKernels(t *testing.T, f func(t *testing.T, k *kernels)) {
	t.Helper()
	t.Run(goKernels.name, func(t *testing.T) { f(t, &goKernels) })
	for i := range vectorKernels {
		k := &vectorKernels[i]
		t.Run(k.name, func(t *testing.T) {
			if !k.available {
				t.Skipf("this machine has no %s", k.name)
			}
			f(t, k)
		})
	}
}

func TestBackendPassesTheSuite(t *testing.T) {
	onKernels(t, func(t *testing.T, k *kernels) {
		backendtest.Run(t, func(t *testing.T, workers int) infer.Backend {
			b, err := New(Options{Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			b.kernels = k
			return b
		})
	})
}
