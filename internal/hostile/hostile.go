// Package hostile makes files that attack a reader of PyTorch checkpoints, or
// whoever loads them with Python: imports that run programs, archives that two
// readers see differently, lengths that do not fit, and small files that ask
// for much. None of them has ever been loaded by Python here; they are bytes.
//
// The classes of attack are those that picklescan, fickling and modelscan test
// for, the advisories on these scanners and on torch.load, and the inputs that
// crashed or misled other readers of the format.
package hostile

import "slices"

// A Case is one file, or one folder of files.
type Case struct {
	Name string // of the file, with an extension
	What string // what it attacks
	// Make returns the contents. Exactly one of Make and Folder is set.
	Make   func() []byte
	Folder func() map[string][]byte
	Heavy  bool   // takes megabytes and a noticeable time to make or to read
	Scan   string // the verdict that a scan has to reach
	Read   string // Refused, Danger or Right
	// Tensors are the elements that a reader has to find if Read is Right. A
	// reader that finds other tensors too is not wrong.
	Tensors map[string][]float32
}

// What reading a case has to end with.
const (
	Refused = "refused"   // an error
	Danger  = "dangerous" // an error that names the dangerous globals
	Right   = "right"     // Tensors, and no error
)

// All returns every case, sorted by name within each kind of attack.
func All() []Case {
	heavy := resources()
	for i := range heavy {
		heavy[i].Heavy = true
	}
	return slices.Concat(imports(), nested(), broken(), containers(), tensors(), heavy)
}
