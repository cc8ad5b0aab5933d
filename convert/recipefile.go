package convert

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// A recipeFile is a recipe as people write it.
type recipeFile struct {
	Name            string     `yaml:"name"`
	FileType        *uint32    `yaml:"file_type,omitempty"` // general.file_type; that of the first recipe of the default if missing
	Default         string     `yaml:"default"`             // type of what no rule matches
	NeedsImportance []string   `yaml:"needs_importance,omitempty,flow"`
	Rules           []ruleFile `yaml:"rules,omitempty"` // the first that matches decides
}

type ruleFile struct {
	Role string   `yaml:"role,omitempty"` // one or several, joined by |
	Name string   `yaml:"name,omitempty"` // a pattern, * and ? fit any letters
	When []string `yaml:"when,omitempty,flow"`
	Type string   `yaml:"type"`
	Why  string   `yaml:"why,omitempty"`
}

// maxRecipe bounds a recipe file in bytes; the longest of smelt's own has 3 KB.
const maxRecipe = 1 << 16

// ReadRecipe reads a recipe of one's own from a YAML file as MarshalRecipe
// writes it.
func ReadRecipe(file string) (*quantize.Recipe, error) {
	r, err := readRecipe(file)
	if err != nil {
		return nil, &tensor.Error{Op: "recipe", File: file, Err: err}
	}
	return r, nil
}

func readRecipe(file string) (*quantize.Recipe, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, notFound(err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxRecipe+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(b) > maxRecipe {
		return nil, fmt.Errorf("it has more than %d bytes: %w", maxRecipe, tensor.ErrTooLarge)
	}
	r, err := parseRecipe(b)
	if err == nil && r.Name == "" {
		r.Name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	return r, err
}

// parseRecipe joins everything that is wrong with a recipe.
func parseRecipe(b []byte) (*quantize.Recipe, error) {
	var y recipeFile
	if err := yaml.UnmarshalWithOptions(b, &y, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%w: %w", err, tensor.ErrCorrupt)
	}
	d, err := storedType(y.Default)
	if err != nil {
		return nil, fmt.Errorf("default: %w", err)
	}
	r := &quantize.Recipe{Name: y.Name, Default: d}
	if !r.Quantizes() {
		return nil, fmt.Errorf("default is %v, want a quantized type; --type %[1]v needs no recipe: %w", d, tensor.ErrUnsupported)
	}
	var errs []error
	if r.FileType, err = fileTypeOf(y, d); err != nil {
		errs = append(errs, err)
	}
	for _, name := range y.NeedsImportance {
		d, err := storedType(name)
		r.NeedsImportance, errs = append(r.NeedsImportance, d), append(errs, err)
	}
	for i, rule := range y.Rules {
		parsed, err := rule.parse()
		if err != nil {
			errs = append(errs, fmt.Errorf("rule %d: %w", i+1, err))
		}
		r.Rules = append(r.Rules, parsed)
	}
	return r, errors.Join(errs...)
}

// fileTypeOf returns general.file_type, which tells runtimes no more than what
// to call the file.
func fileTypeOf(y recipeFile, d tensor.DType) (uint32, error) {
	if y.FileType != nil {
		return *y.FileType, nil
	}
	for _, r := range quantize.Recipes() {
		if !r.Keep && r.Default == d {
			return r.FileType, nil
		}
	}
	return 0, fmt.Errorf("no recipe has the default %v: say file_type, the number of llama.cpp's enum llama_ftype: %w", d, tensor.ErrUnsupported)
}

func (y ruleFile) parse() (r quantize.Rule, err error) {
	if r.Role, err = quantize.ParseRole(y.Role); err != nil {
		return r, err
	}
	if r.DType, err = storedType(y.Type); err != nil {
		return r, err
	}
	if _, err := path.Match(y.Name, ""); err != nil {
		return r, fmt.Errorf("name %q: %w", y.Name, err)
	}
	for _, when := range y.When {
		c := quantize.Condition(when)
		if _, ok := c.About(); !ok {
			return r, fmt.Errorf("unknown condition %q; known: %q: %w", when, quantize.Conditions(), tensor.ErrUnsupported)
		}
		r.When = append(r.When, c)
	}
	r.Pattern, r.Why = y.Name, y.Why
	if r.Why == "" {
		r.Why = "a rule of the recipe"
	}
	return r, nil
}

// MarshalRecipe returns a recipe that quantizes as YAML, with what its
// conditions mean, to start one of one's own from.
func MarshalRecipe(r *quantize.Recipe) ([]byte, error) {
	if !r.Quantizes() {
		return nil, fmt.Errorf("%s has no rules to show: one type for all matrices: %w", r.Name, tensor.ErrUnsupported)
	}
	y := recipeFile{Name: r.Name, FileType: &r.FileType, Default: r.Default.String()}
	for _, d := range r.NeedsImportance {
		y.NeedsImportance = append(y.NeedsImportance, d.String())
	}
	used := map[quantize.Condition]bool{}
	for _, rule := range r.Rules {
		row := ruleFile{Role: rule.Role.String(), Name: rule.Pattern, Type: rule.DType.String(), Why: rule.Why}
		for _, c := range rule.When {
			used[c] = true
			row.When = append(row.When, string(c))
		}
		y.Rules = append(y.Rules, row)
	}
	b, err := yaml.Marshal(y)
	if err != nil {
		return nil, err
	}
	return append([]byte(legend(used)), b...), nil
}

// legend is the comment that says what the conditions in use mean.
func legend(used map[quantize.Condition]bool) string {
	var out strings.Builder
	out.WriteString("# The first rule that matches a matrix of weights decides its type.\n")
	for _, c := range quantize.Conditions() {
		if about, ok := c.About(); ok && used[c] {
			fmt.Fprintf(&out, "# %s: %s\n", c, about)
		}
	}
	return out.String()
}
