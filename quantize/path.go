package quantize

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/smelt-project/smelt/tensor"
)

//go:generate go -C asm run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg quantize -calls ../calls_amd64.go

// An isa is an instruction set, whose kernels are its methods.
type isa uint8

const (
	scalar isa = iota // no kernels: the Go code
	avx2
	avx512
)

// A vectorPath is a set of implementations with the same results as the Go code of
// the codecs, which stands in for what is missing. The maps are not changed.
type vectorPath struct {
	name      string
	available bool
	encode    map[tensor.DType]func(dst []byte, src, importance []float32) (overflows int)
	decode    map[tensor.DType]func(dst []float32, src []byte)
	direct    map[pair]Transcoder
	sum       summing
}

// paths are those of this build, the slowest first.
var paths = append([]vectorPath{{name: "scalar", available: true}}, vectorPaths...)

// pathVariable is the environment variable that selects a path by its name.
const pathVariable = "SMELT_CPU"

var chosenPath = sync.OnceValues(func() (*vectorPath, error) { return choosePath(os.Getenv(pathVariable)) })

// choosePath returns the path with that name, or for "" the fastest that this
// machine has.
func choosePath(name string) (*vectorPath, error) {
	var best *vectorPath
	var names []string
	for i := range paths {
		if p := &paths[i]; p.available {
			best, names = p, append(names, p.name)
		}
	}
	if name == "" {
		return best, nil
	}
	i := slices.IndexFunc(paths, func(p vectorPath) bool { return p.name == name && p.available })
	if i < 0 {
		return nil, fmt.Errorf("%s=%q: this program on this machine has %s; set one of them, or none for the fastest: %w",
			pathVariable, name, strings.Join(names, ", "), tensor.ErrUnsupported)
	}
	return &paths[i], nil
}

// VectorPath returns the name of the implementation that the codecs use: scalar
// or that of an instruction set. It is the fastest that the machine has unless
// the environment variable SMELT_CPU names another; if it names one that is
// unknown or that the machine lacks, VectorPath and CodecOf fail. The results
// are the same with all of them.
func VectorPath() (string, error) {
	p, err := chosenPath()
	if err != nil {
		return "", err
	}
	return p.name, nil
}

// codec returns the codec of d, if there is one.
func (p *vectorPath) codec(d tensor.DType) (Codec, bool) {
	c, ok := codecs[d]
	if encode := p.encode[d]; encode != nil {
		c.Encode = encode
	}
	if decode := p.decode[d]; decode != nil {
		c.Decode = decode
	}
	return c, ok
}

// summing returns what adds up squares.
func (p *vectorPath) summing() summing {
	if p.sum != nil {
		return p.sum
	}
	return (*sums).addAll
}

// transcoder returns the transcoder of a direct pair, if it is one.
func (p *vectorPath) transcoder(to, from tensor.DType) (Transcoder, bool) {
	if t := p.direct[pair{to, from}]; t != nil {
		return t, true
	}
	t, ok := direct[pair{to, from}]
	return t, ok
}
