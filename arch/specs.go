//go:build !plantedfault

package arch

// Specs returns the architectures that smelt knows.
func Specs() []*Spec { return tables() }
