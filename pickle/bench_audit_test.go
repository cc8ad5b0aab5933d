package pickle

import (
	"bytes"
	"fmt"
	"testing"
)

// stateDict is the data.pkl of a state dict of n tensors in protocol 2, as
// PyTorch writes it: an OrderedDict of _rebuild_tensor_v2 calls.
func stateDict(n int) []byte {
	var b bytes.Buffer
	memo := 0
	put := func() {
		if memo < 256 {
			b.Write([]byte{'q', byte(memo)})
		} else {
			b.Write([]byte{'r', byte(memo), byte(memo >> 8), byte(memo >> 16), 0})
		}
		memo++
	}
	text := func(s string) {
		b.Write([]byte{'X', byte(len(s)), byte(len(s) >> 8), 0, 0})
		b.WriteString(s)
		put()
	}
	b.WriteString("\x80\x02ccollections\nOrderedDict\n")
	put()
	b.WriteString(")R")
	put()
	b.WriteString("(")
	for i := range n {
		text(fmt.Sprintf("model.layers.%d.self_attn.q_proj.weight", i))
		b.WriteString("ctorch._utils\n_rebuild_tensor_v2\n")
		put()
		b.WriteString("((")
		text("storage")
		b.WriteString("ctorch\nFloatStorage\n")
		put()
		text(fmt.Sprint(i))
		text("cpu")
		b.WriteString("M\x00\x10t")
		put()
		b.WriteString("QK\x00K@K@\x86")
		put()
		b.WriteString("K@K\x01\x86")
		put()
		b.WriteString("\x89ccollections\nOrderedDict\n)R")
		put()
		b.WriteString("t")
		put()
		b.WriteString("R")
		put()
	}
	b.WriteString("u.")
	return b.Bytes()
}

func BenchmarkAudit(b *testing.B) {
	p := stateDict(10_000)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if a := audit(p, Limits{}); a.Err != nil {
			b.Fatal(a.Err)
		}
	}
}
