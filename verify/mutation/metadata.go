package mutation

import (
	"slices"

	"github.com/smelt-project/smelt/tensor"
)

// metadataFaults are wrong, missing and additional keys.
var metadataFaults = append(hyperparameterFaults(),
	Mutation{Metadata, "another architecture", func(e *edit) expectation {
		if _, ok := e.meta.Get(architectureKey); !ok {
			return none
		}
		e.set(architectureKey, "gptneox")
		return expect(architectureKey, "gptneox")
	}},
	Mutation{Metadata, "a stated type that the tensors do not have", func(e *edit) expectation {
		if _, ok := e.meta.Get(fileTypeKey); !ok {
			return none
		}
		wrong := uint32(0) // all F32
		if e.count(fileTypeKey) == 0 {
			wrong = 1 // mostly F16
		}
		e.set(fileTypeKey, wrong)
		return expect(fileTypeKey, "not of the stated type")
	}},
	Mutation{Metadata, "a rotary scaling that the original does not have", func(e *edit) expectation {
		if !e.subject.parts.rotary {
			return none
		}
		const key = "llama.rope.scaling.type"
		e.set(key, "linear")
		e.set("llama.rope.scaling.factor", float32(4))
		return expectation{[]string{key, "llama.rope.scaling.factor"}, []string{"no such setting"}}
	}},
	missing("heads of keys not stated", "llama.attention.head_count_kv"),
	missing("epsilon not stated", "llama.attention.layer_norm_rms_epsilon"),
	missing("layers not stated", "llama.block_count"),
	missing("bands of sound not stated", "whisper.encoder.mels_count"),
)

const (
	architectureKey = "general.architecture"
	fileTypeKey     = "general.file_type"
)

// hyperparameterFaults change one number of an architecture each.
func hyperparameterFaults() []Mutation {
	var out []Mutation
	for _, key := range slices.Concat(partsOf["llama"].hyperparameters, partsOf["whisper"].hyperparameters) {
		out = append(out, Mutation{Metadata, key, func(e *edit) expectation {
			v, ok := e.meta.Get(key)
			if !ok {
				return none
			}
			if f, isReal := v.(float32); isReal {
				e.set(key, 10*f)
			} else {
				n, _ := tensor.AsInt(v)
				e.set(key, uint32(n+1)) //nolint:gosec // a small count
			}
			return expect(key, key+" is")
		}})
	}
	return out
}

// missing takes a key away.
func missing(name, key string) Mutation {
	return Mutation{Metadata, name, func(e *edit) expectation {
		if _, ok := e.meta.Get(key); !ok {
			return none
		}
		e.unset(key)
		return expect(key, key)
	}}
}
