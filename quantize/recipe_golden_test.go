package quantize

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// A snapshot is what llama.cpp expects of one model; testdata/recipes/make.py
// says where it comes from.
type snapshot struct {
	facts    Facts
	infos    []tensor.Info
	sections []section
}

type section struct {
	name       string
	def        tensor.DType
	exceptions map[string]tensor.DType
}

// layersIn returns the layers that "0-3,7" stands for.
func layersIn(t *testing.T, list string) (layers []int) {
	t.Helper()
	for _, part := range strings.Split(list, ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		if !isRange {
			hi = lo
		}
		a, err1 := strconv.Atoi(lo)
		b, err2 := strconv.Atoi(hi)
		if err1 != nil || err2 != nil {
			t.Fatalf("layers %q", list)
		}
		for n := a; n <= b; n++ {
			layers = append(layers, n)
		}
	}
	return layers
}

// names returns the tensors that a line of a fixture stands for.
func namesIn(t *testing.T, kind, list string) (names []string) {
	t.Helper()
	if list == "-" {
		return []string{kind}
	}
	for _, n := range layersIn(t, list) {
		names = append(names, strings.Replace(kind, "blk.N.", fmt.Sprintf("blk.%d.", n), 1))
	}
	return names
}

func dtypeNamed(t *testing.T, name string) tensor.DType {
	t.Helper()
	d, err := tensor.ParseDType(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func readSnapshot(t *testing.T, path string) (s snapshot) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "model":
			if _, err := fmt.Sscanf(lines.Text(), "model %s layers %d heads %d kv %d experts %d",
				&s.facts.Arch, &s.facts.Layers, &s.facts.Heads, &s.facts.KVHeads, &s.facts.Experts); err != nil {
				t.Fatal(err)
			}
		case words[0][0] == '[':
			s.sections = append(s.sections, section{strings.Trim(words[0], "[]"), dtypeNamed(t, words[1]), map[string]tensor.DType{}})
		case len(s.sections) > 0:
			for _, name := range namesIn(t, words[0], words[2]) {
				s.sections[len(s.sections)-1].exceptions[name] = dtypeNamed(t, words[1])
			}
		default:
			row, _ := strconv.Atoi(words[1])
			depth, _ := strconv.Atoi(words[2])
			for _, name := range namesIn(t, words[0], words[3]) {
				s.infos = append(s.infos, tensor.Info{Name: name, DType: tensor.F32, Shape: tensor.Shape{depth, 512, row}})
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return s
}

// Nine models, 33 file types: every tensor gets the type that llama.cpp gives it.
func TestRecipesChooseAsLlamaCpp(t *testing.T) {
	paths, err := filepath.Glob("testdata/recipes/*.txt")
	if err != nil || len(paths) != 9 {
		t.Fatalf("%d fixtures (%v), want 9", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			s := readSnapshot(t, path)
			if len(s.sections) != 33 {
				t.Errorf("%d file types, want 33", len(s.sections))
			}
			for _, sec := range s.sections {
				r, err := ParseRecipe(sec.name)
				if err != nil {
					t.Error(err)
					continue
				}
				got, err := r.ChooseAll(s.facts, s.infos, Mix{})
				if err != nil || r.Default != sec.def {
					t.Errorf("%s: default %v, want %v (%v)", sec.name, r.Default, sec.def, err)
					continue
				}
				for i, info := range s.infos {
					want, ok := sec.exceptions[info.Name]
					if !ok {
						want = sec.def
					}
					if got[i].DType != want || got[i].Why == "" {
						t.Errorf("%s: %s is %v, want %v (%s; %s)", sec.name, info.Name, got[i].DType, want, got[i].Why, got[i].Fallback)
					}
				}
			}
		})
	}
}
