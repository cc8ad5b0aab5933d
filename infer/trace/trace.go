// Package trace names the values inside a network, so that two implementations
// of it that share nothing else can be compared place by place.
package trace

import "fmt"

// An Op is an operation of a layer, by what it computes.
type Op string

// The operations in the order in which a layer computes them. A network without
// one leaves it out. Queries and keys are compared in the order of the rotated
// pairs (0,1), (2,3) … of each head, after the rotation, whichever order the
// weights are stored in.
const (
	Embedding     Op = "embedding"      // tokens, or the convolutions' result with positions
	Conv1         Op = "conv1"          // after the activation
	Conv2         Op = "conv2"          // after the activation
	AttnNorm      Op = "attn_norm"      //
	AttnQ         Op = "attn_q"         // rotated, not scaled
	AttnK         Op = "attn_k"         // rotated, not scaled
	AttnV         Op = "attn_v"         //
	AttnContext   Op = "attn_context"   // the heads' weighted values, before the output projection
	AttnOut       Op = "attn_out"       // after the output projection
	CrossNorm     Op = "cross_norm"     //
	CrossQ        Op = "cross_q"        // not scaled
	CrossContext  Op = "cross_context"  //
	CrossOut      Op = "cross_out"      //
	FFNNorm       Op = "ffn_norm"       //
	FFNGate       Op = "ffn_gate"       // before the activation
	FFNUp         Op = "ffn_up"         // before the activation where there is no gate
	FFNActivation Op = "ffn_activation" // what the last matrix is given
	FFNOut        Op = "ffn_out"        //
	Residual      Op = "residual"       // the stream after the layer
	FinalNorm     Op = "final_norm"     //
	Logits        Op = "logits"         //
)

// A Part is one of the stacks of a network.
type Part string

// The parts. A network with one stack only has a Decoder.
const (
	Encoder Part = "encoder"
	Decoder Part = "decoder"
)

// A Place is where in a network a value is. Layer counts from 0; before the
// first and after the last layer it is -1.
type Place struct {
	Part  Part
	Layer int
	Op    Op
}

// String is as in "decoder.3.attn_q".
func (p Place) String() string {
	if p.Layer < 0 {
		return fmt.Sprintf("%s.%s", p.Part, p.Op)
	}
	return fmt.Sprintf("%s.%d.%s", p.Part, p.Layer, p.Op)
}

// A Func is shown the values x [len(x)/width, width] at a place, in the order in
// which they are computed. x is valid during the call only. An error ends the
// computation.
type Func func(at Place, x []float32, width int) error
