package tensor

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Shape lists dimensions outermost first, as PyTorch prints them; a row, the
// last dimension, is contiguous. The empty shape is a scalar: one element.
type Shape []int

// Elems returns the number of elements. It fails if a dimension is negative or
// the product does not fit an int64.
func (s Shape) Elems() (int64, error) {
	n := int64(1)
	for _, d := range s {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension: %w", s, ErrCorrupt)
		}
		if d != 0 && n > math.MaxInt64/int64(d) {
			return 0, fmt.Errorf("shape %v overflows: %w", s, ErrTooLarge)
		}
		n *= int64(d)
	}
	return n, nil
}

// Row returns the length of the last dimension, 1 for a scalar.
func (s Shape) Row() int {
	if len(s) == 0 {
		return 1
	}
	return s[len(s)-1]
}

// Equal reports whether s and t have the same dimensions.
func (s Shape) Equal(t Shape) bool { return slices.Equal(s, t) }

// Squeeze returns s without its dimensions of length 1.
func (s Shape) Squeeze() Shape {
	return slices.DeleteFunc(slices.Clone(s), func(d int) bool { return d == 1 })
}

// String formats s as "[80 3000]".
func (s Shape) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, d := range s {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.Itoa(d))
	}
	b.WriteByte(']')
	return b.String()
}

// Bytes returns the number of bytes that a tensor of type d and shape s takes
// when its rows are stored without gaps. It fails if d does not exist, if a row
// is not a whole number of d's blocks, or if the size does not fit an int64.
func (d DType) Bytes(s Shape) (int64, error) {
	l, ok := d.Layout()
	if !ok {
		return 0, fmt.Errorf("%v: %w", d, ErrUnsupported)
	}
	n, err := s.Elems()
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, nil
	}
	if s.Row()%l.Elems != 0 {
		return 0, fmt.Errorf("rows of %d are not a multiple of %v's block of %d: %w", s.Row(), d, l.Elems, ErrUnsupported)
	}
	blocks := n / int64(l.Elems)
	if blocks > math.MaxInt64/int64(l.Bytes) {
		return 0, fmt.Errorf("%v %v overflows: %w", d, s, ErrTooLarge)
	}
	return blocks * int64(l.Bytes), nil
}
