package pickle

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// tileOf is the part of a matrix of the width whose element (i, j) is i·width+j.
func tileOf(t *testing.T, width, row, col, rows, cols int) tile {
	t.Helper()
	var b []byte
	for i := range rows {
		for j := range cols {
			b = binary.LittleEndian.AppendUint16(b, uint16((row+i)*width+col+j))
		}
	}
	x, err := tensor.New(tensor.Info{Name: "w", DType: tensor.U16, Shape: tensor.Shape{rows, cols}}, bytes.NewReader(b), tensor.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	return tile{tensor.Shape{row, col}, x}
}

func TestTilesInAnyOrderMakeTheWhole(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		height, width := 1+rng.IntN(9), 1+rng.IntN(9)
		var tiles []tile
		for row := 0; row < height; {
			rows := 1 + rng.IntN(height-row)
			for col := 0; col < width; {
				cols := 1 + rng.IntN(width-col)
				tiles = append(tiles, tileOf(t, width, row, col, rows, cols))
				col += cols
			}
			row += rows
		}
		rng.Shuffle(len(tiles), func(i, j int) { tiles[i], tiles[j] = tiles[j], tiles[i] })
		got, err := fit(tiles, tensor.Shape{0, 0}, tensor.Shape{height, width}, 0)
		if err != nil {
			t.Fatal(err)
		}
		b, err := got.ReadAll()
		want, _ := tileOf(t, width, 0, 0, height, width).ReadAll()
		if err != nil || !bytes.Equal(b, want) || !got.Shape.Equal(tensor.Shape{height, width}) {
			t.Fatalf("%d tiles of %d×%d = %v %x, %v; want %x", len(tiles), height, width, got.Shape, b, err, want)
		}
	}
}

func TestTilesThatDoNotCoverAreRefused(t *testing.T) {
	at := func(row, col, rows, cols int) tile { return tileOf(t, 4, row, col, rows, cols) }
	for _, c := range []struct {
		name  string
		tiles []tile
		says  string
	}{
		{"none", nil, "0 chunks fill [4 4]"},
		{"first missing", []tile{at(2, 0, 2, 4)}, "a chunk is missing: one ends at 0 of dimension 0, the next begins at 2"},
		{"last missing", []tile{at(0, 0, 2, 4)}, "a chunk is missing: one ends at 2 of dimension 0, the next begins at 4"},
		{"middle missing", []tile{at(0, 0, 1, 4), at(2, 0, 2, 4)}, "one ends at 1 of dimension 0, the next begins at 2"},
		{"overlap", []tile{at(0, 0, 3, 4), at(2, 0, 2, 4)}, "a chunk overlaps: one ends at 3 of dimension 0, the next begins at 2"},
		{"column missing", []tile{at(0, 0, 4, 2), at(0, 3, 4, 1)}, "one ends at 2 of dimension 1, the next begins at 3"},
		{"the same twice", []tile{at(0, 0, 4, 4), at(0, 0, 4, 4)}, "2 chunks fill"},
		{"no grid", []tile{at(0, 0, 2, 2), at(0, 2, 4, 2), at(2, 0, 2, 2)}, "chunks at 0 of dimension 0 are 2 and 4 long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := fit(c.tiles, tensor.Shape{0, 0}, tensor.Shape{4, 4}, 0); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("fit = %v, %v; want an error that says %q", got, err, c.says)
			}
		})
	}
}
