package main

import (
	"github.com/urfave/cli/v2"

	"github.com/smelt-project/smelt/convert"
)

// splitFlags limit the files of a GGUF.
type splitFlags struct {
	size    string
	tensors int
}

func (s *splitFlags) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "split-max-size", Usage: "divide a GGUF among files of at most `SIZE`, such as 2G: NAME-00001-of-00003.gguf and so on", Destination: &s.size},
		&cli.IntFlag{Name: "split-max-tensors", DefaultText: "any number", Usage: "divide a GGUF among files of at most `N` tensors", Destination: &s.tensors},
	}
}

// limit returns what the flags say.
func (s *splitFlags) limit() (limit convert.Split, err error) {
	if s.tensors < 0 {
		return limit, usagef("--split-max-tensors: %d is less than 0", s.tensors)
	}
	limit.Tensors = s.tensors
	if s.size != "" {
		limit.Bytes, err = parseSize("--split-max-size", s.size)
	}
	return limit, err
}
