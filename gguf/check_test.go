package gguf

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

func TestCheckNamesEveryDifference(t *testing.T) {
	meta := tensor.NewMeta(
		tensor.KV{Key: "general.architecture", Value: "test"},
		tensor.KV{Key: "n", Value: uint32(1)},
		tensor.KV{Key: "nan", Value: float32(math.NaN())},
		tensor.KV{Key: "list", Value: []string{"a", "b"}},
	)
	infos := []tensor.Info{
		{Name: "a", DType: tensor.F32, Shape: tensor.Shape{2, 3}},
		{Name: "b", DType: tensor.F16, Shape: tensor.Shape{4}},
	}
	p, err := Place(meta, infos)
	if err != nil {
		t.Fatal(err)
	}
	file := write(p, nil)
	with := func(key string, v any) tensor.Meta { return meta.With(tensor.KV{Key: key, Value: v}) }
	info := func(i int, info tensor.Info) []tensor.Info {
		out := append([]tensor.Info(nil), infos...)
		out[i] = info
		return out
	}
	tests := []struct {
		name  string
		file  []byte
		meta  tensor.Meta
		infos []tensor.Info
		want  []string // nil: no difference
	}{
		{"as laid out", file, meta, infos, nil},
		{"other value", file, with("n", uint32(2)), infos, []string{`key "n"`}},
		{"other width", file, with("n", uint64(1)), infos, []string{`key "n": uint32 of`}},
		{"other list", file, with("list", []string{"a", "c"}), infos, []string{`key "list"`}},
		{"other order", file, tensor.NewMeta(meta.All()[1], meta.All()[0], meta.All()[2], meta.All()[3]), infos, []string{`key 0 is "general.architecture", want "n"`, `key 1`}},
		{"key more", file, with("more", true), infos, []string{"4 keys, want 5"}},
		{"tensor fewer", file, meta, infos[:1], []string{"2 tensors, want 1"}},
		{"other name", file, meta, info(1, tensor.Info{Name: "c", DType: tensor.F16, Shape: tensor.Shape{4}}), []string{`"b" f16 [4], want "c" f16 [4]`}},
		{"other type", file, meta, info(1, tensor.Info{Name: "b", DType: tensor.BF16, Shape: tensor.Shape{4}}), []string{`want "b" bf16`}},
		{"transposed", file, meta, info(0, tensor.Info{Name: "a", DType: tensor.F32, Shape: tensor.Shape{3, 2}}), []string{"[2 3], want", "[3 2]"}},
		{"both tensors", file, meta, []tensor.Info{infos[1], infos[0]}, []string{"tensor 0", "tensor 1"}},
		{"padding cut", file[:len(file)-1], meta, infos, []string{"bytes long, want"}},
		{"padding added", append(bytes.Clone(file), 0), meta, infos, []string{"bytes long, want"}},
		{"not parsable", file[:20], meta, infos, []string{"claims 2 tensors"}},
	}
	for _, tt := range tests {
		err := Check(bytes.NewReader(tt.file), int64(len(tt.file)), tt.meta, tt.infos)
		if (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error lacks %q: %v", tt.name, want, err)
			}
		}
	}
}

func TestCheckRefusesWhatLlamaCppWouldNotRead(t *testing.T) {
	infos := []tensor.Info{{Name: "a", DType: tensor.I8, Shape: tensor.Shape{3}}, {Name: "b", DType: tensor.I8, Shape: tensor.Shape{3}}}
	tests := []struct {
		name string
		b    *builder
		want string
	}{
		{"gap", build().head(2, 0).row("a", i8, 0, 3).row("b", i8, 64, 3).data(96), `"b" starts at byte 160, want 128`},
		{"table out of order", build().head(2, 0).row("a", i8, 32, 3).row("b", i8, 0, 3).data(64), `"a" starts at byte 128, want 96`},
		{"version 2", &builder{b: []byte(strings.Replace(string(build().head(2, 0).row("a", i8, 0, 3).row("b", i8, 32, 3).data(64).b), "\x03", "\x02", 1))}, "GGUF v2, want GGUF v3"},
	}
	for _, tt := range tests {
		err := Check(bytes.NewReader(tt.b.b), int64(len(tt.b.b)), tensor.Meta{}, infos)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
