//go:build interop

// Package interop runs the built smelt as a user would and gives what it wrote to the programs it is meant for:
// llama.cpp, whisper.cpp, PyTorch and the gguf package. .ci/setup installs them; a test whose program or model is
// missing skips and says why, or fails where SMELT_REQUIRE_PEERS=1.
package interop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A peer is a program, model or data set outside the repository.
type peer struct {
	name   string
	remedy string
	find   func() (string, error) // a path, or why there is none
}

const setup = ".ci/setup installs it"

var (
	smeltBinary = peer{"the built smelt", "make build makes it", func() (string, error) { return existing(env("SMELT_BIN", filepath.Join("..", "bin", "smelt"))) }}
	shared      = peer{"the folder of golden results", "SMELT_SHARED names it", func() (string, error) { return existing(sharedDir()) }}
	python      = peer{"Python with PyTorch 2.11", setup, func() (string, error) { return existing(filepath.Join(cacheDir(), "py", "bin", "python")) }}
	oldPython   = peer{"Python with PyTorch 1.13", setup, findOldPython}
	llamaCpp    = peer{"node-llama-cpp", setup, findLlama}
	realOllama  = peer{"Ollama", setup, func() (string, error) { return existing(filepath.Join(cacheDir(), "ollama", "ollama")) }}
)

// model is a file or folder that make_models.py makes.
func model(name string) peer {
	return peer{"model " + name, setup, func() (string, error) { return existing(filepath.Join(cacheDir(), "models", name)) }}
}

// need returns where p is, and ends the test where it is not.
func need(t *testing.T, p peer) string {
	t.Helper()
	path, err := p.find()
	if err == nil {
		return path
	}
	if os.Getenv("SMELT_REQUIRE_PEERS") == "1" {
		t.Fatalf("%s is missing: %v; %s", p.name, err, p.remedy)
	}
	t.Skipf("%s is missing: %v; %s", p.name, err, p.remedy)
	return ""
}

func existing(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(abs); err != nil {
		return "", err
	}
	return abs, nil
}

func findOldPython() (string, error) {
	const path = "/usr/bin/python3" // Debian's packages install for this one alone
	out, err := exec.Command(path, "-c", "import torch, numpy; print(torch.__version__)").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s cannot import torch: %s", path, lastLine(out))
	}
	if v := lastLine(out); !strings.HasPrefix(v, "1.13") {
		return "", fmt.Errorf("%s has PyTorch %s", path, v)
	}
	return path, nil
}

func findLlama() (string, error) {
	if _, err := exec.LookPath("node"); err != nil {
		return "", err
	}
	dir := filepath.Join(cacheDir(), "node")
	if _, err := existing(filepath.Join(dir, "node_modules", "node-llama-cpp")); err != nil {
		return "", err
	}
	return dir, nil
}

// cacheDir is where .ci/setup installs.
func cacheDir() string {
	return env("SMELT_CACHE", filepath.Join(env("XDG_CACHE_HOME", filepath.Join(os.Getenv("HOME"), ".cache")), "smelt"))
}

func sharedDir() string { return env("SMELT_SHARED", filepath.Join("..", "..", "shared")) }

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// script runs an interpreter on a file of peers/ and returns its standard output.
func script(t *testing.T, interpreter, name string, args ...string) []byte {
	t.Helper()
	return output(t, exec.Command(interpreter, append([]string{filepath.Join("peers", name)}, args...)...))
}

func output(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, tail(stderr.Bytes()))
	}
	return out
}

// A result is what one run of smelt did.
type result struct {
	code           int
	stdout, stderr string
}

// try runs smelt and returns what it did, success or not.
func try(t *testing.T, args ...string) result {
	t.Helper()
	return finish(t, exec.Command(need(t, smeltBinary), args...))
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", strings.Join(cmd.Args, " "), err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// smelt runs smelt, which has to succeed.
func smelt(t *testing.T, args ...string) string {
	t.Helper()
	r := try(t, args...)
	if r.code != 0 {
		t.Fatalf("smelt %s: exit %d, want 0\n%s", strings.Join(args, " "), r.code, tail([]byte(r.stderr)))
	}
	return r.stdout
}

// A tensorInfo is one tensor of smelt inspect --json --digest, or of a peer's own description.
type tensorInfo struct {
	Name   string `json:"name"`
	DType  string `json:"dtype"`
	Shape  []int  `json:"shape"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func (i tensorInfo) String() string { return fmt.Sprintf("%s%v %s", i.DType, i.Shape, i.SHA256) }

type inspection struct {
	Format       string         `json:"format"`
	Architecture string         `json:"architecture"`
	Metadata     map[string]any `json:"metadata"`
	Tensors      []tensorInfo   `json:"tensors"`
}

// inspect returns what smelt says of a file, with the digest of every tensor.
func inspect(t *testing.T, path string, flags ...string) inspection {
	t.Helper()
	var v inspection
	decode(t, []byte(smelt(t, append([]string{"inspect", path, "--json", "--digest"}, flags...)...)), &v)
	return v
}

// sameTensors compares two lists by name and reports every difference.
func sameTensors(t *testing.T, got, want []tensorInfo) {
	t.Helper()
	g, w := byName(t, got), byName(t, want)
	for name, wi := range w {
		gi, ok := g[name]
		switch {
		case !ok:
			t.Errorf("tensor %q is missing, want %v", name, wi)
		case gi.String() != wi.String():
			t.Errorf("tensor %q = %v, want %v", name, gi, wi)
		}
	}
	for name, gi := range g {
		if _, ok := w[name]; !ok {
			t.Errorf("tensor %q = %v, want none of this name", name, gi)
		}
	}
}

func byName(t *testing.T, list []tensorInfo) map[string]tensorInfo {
	t.Helper()
	m := make(map[string]tensorInfo, len(list))
	for _, i := range list {
		if _, ok := m[i.Name]; ok {
			t.Errorf("two tensors are named %q", i.Name)
		}
		m[i.Name] = i
	}
	return m
}

// golden reads a JSON file of the golden results.
func golden(t *testing.T, v any, path ...string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{need(t, shared), "golden"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	decode(t, b, v)
}

func decode(t *testing.T, b []byte, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%v in %s", err, tail(b))
	}
}

// exists says whether anything is at path.
func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// tail bounds what a failing program may add to the report.
func tail(b []byte) []byte { return b[max(0, len(b)-4000):] }
