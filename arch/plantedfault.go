//go:build plantedfault

package arch

// Planted, if not nil, changes the tables: a test plants a fault in them, to
// show that verification finds it. It is not there in a program.
var Planted func([]*Spec)

// Specs returns the architectures that smelt knows, with the planted fault.
func Specs() []*Spec {
	specs := tables()
	if Planted != nil {
		Planted(specs)
	}
	return specs
}
