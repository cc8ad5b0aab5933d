//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A server is a running Ollama with a store of its own, on the loopback interface.
type server struct {
	binary, models, home, address string
}

// serve starts the real Ollama and stops it when the test ends.
func serve(t *testing.T) *server {
	t.Helper()
	s := &server{binary: need(t, realOllama), models: t.TempDir(), home: t.TempDir(), address: freeAddress(t)}
	cmd := s.command("serve")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its runners end with it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Errorf("ollama serve ended by itself: %v", err)
		}
		if t.Failed() {
			t.Logf("ollama serve:\n%s", tail(log.Bytes()))
		}
	})
	for range 300 {
		if r, err := http.Get("http://" + s.address + "/api/version"); err == nil {
			if err := r.Body.Close(); err != nil {
				t.Fatal(err)
			}
			return s
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("ollama serve does not answer")
	return nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	return l.Addr().String()
}

func (s *server) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.binary, args...)
	cmd.Env = append(os.Environ(), "HOME="+s.home, "OLLAMA_MODELS="+s.models, "OLLAMA_HOST="+s.address, "OLLAMA_NO_CLOUD=1")
	return cmd
}

// run is what ollama prints for args.
func (s *server) run(t *testing.T, args ...string) string {
	t.Helper()
	return string(output(t, s.command(args...)))
}

// post sends a request, decodes the answer into v and returns the status.
func (s *server) post(t *testing.T, path string, request, v any) int {
	t.Helper()
	b, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.Post("http://"+s.address+path, "application/json", bytes.NewReader(b))
	return answer(t, r, err, v)
}

func answer(t *testing.T, r *http.Response, err error, v any) int {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r.Body)
	if err := errors.Join(err, r.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if r.StatusCode == http.StatusOK {
		decode(t, b, v)
	}
	return r.StatusCode
}

// tags are the names that the server lists.
func (s *server) tags(t *testing.T) (names []string) {
	t.Helper()
	var v struct{ Models []struct{ Name string } }
	r, err := http.Get("http://" + s.address + "/api/tags")
	if code := answer(t, r, err, &v); code != http.StatusOK {
		t.Fatalf("/api/tags: %d", code)
	}
	for _, m := range v.Models {
		names = append(names, m.Name)
	}
	return names
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type chatAnswer struct {
	Message    message `json:"message"`
	DoneReason string  `json:"done_reason"`
	Prompt     int     `json:"prompt_eval_count"`
}

// chat asks the most likely answer.
func (s *server) chat(t *testing.T, name string, messages ...message) (a chatAnswer) {
	t.Helper()
	code := s.post(t, "/api/chat", map[string]any{"model": name, "messages": messages, "stream": false,
		"options": map[string]any{"temperature": 0, "num_predict": 32, "num_ctx": 512, "num_thread": 2}}, &a)
	if code != http.StatusOK {
		t.Fatalf("/api/chat of %s: %d", name, code)
	}
	return a
}

// smelt runs smelt on the server's store.
func (s *server) smelt(t *testing.T, args ...string) {
	t.Helper()
	smelt(t, append(args, "--ollama-dir", s.models)...)
}

func TestOllamaRunsWhatSmeltWritesWhileItServes(t *testing.T) {
	s := serve(t)
	source := need(t, model("smollm2.pt"))
	s.smelt(t, append([]string{"convert", source, "ollama:mine", "--type", "q8_0"}, smollm2Tokenizer(t, "smollm2.pt")...)...)
	if got := s.tags(t); !slices.Equal(got, []string{"mine:latest"}) {
		t.Errorf("the server lists %q", got)
	}
	if list := s.run(t, "list"); !strings.Contains(list, "mine:latest") {
		t.Errorf("ollama list:\n%s", list)
	}
	show := s.run(t, "show", "mine")
	for _, want := range []string{"llama", "Q8_0", "<|im_end|>"} {
		if !strings.Contains(show, want) {
			t.Errorf("ollama show has no %q:\n%s", want, show)
		}
	}

	// The prompt has as many tokens as transformers' rendering of the same chat, and the answer ends at the stop word.
	var g smollm2Golden
	golden(t, &g, "smollm2", "golden.json")
	for _, c := range g.Chat {
		if a := s.chat(t, "mine", c.Messages...); a.Prompt != len(c.IDs) {
			t.Errorf("the prompt of %v has %d tokens, want %d", c.Messages, a.Prompt, len(c.IDs))
		}
	}
	a := s.chat(t, "mine", message{"user", "Name the capital of France."})
	if !strings.Contains(a.Message.Content, "Paris") || a.DoneReason != "stop" || strings.Contains(a.Message.Content, "<|im") {
		t.Errorf("the answer is %q, it ended for %q", a.Message.Content, a.DoneReason)
	}
	s.run(t, "cp", "mine", "copy")
	if text := s.run(t, "run", "copy", "Name the capital of France."); strings.TrimSpace(text) == "" {
		t.Error("ollama run answers nothing")
	}

	// What smelt removes is gone; what shares its blobs stays.
	s.smelt(t, "ollama", "rm", "mine")
	if got := s.tags(t); !slices.Equal(got, []string{"copy:latest"}) {
		t.Errorf("after smelt ollama rm mine the server lists %q", got)
	}
	if b := s.chat(t, "copy", message{"user", "Name the capital of France."}); b.Message != a.Message {
		t.Errorf("the copy answers %q, before %q", b.Message.Content, a.Message.Content)
	}
	s.smelt(t, "ollama", "check")
}

func TestWhatOllamaCreatesIsExportedBitForBit(t *testing.T) {
	s := serve(t)
	gguf := need(t, model("smollm2-135m-instruct.Q4_1.gguf"))
	dir := t.TempDir()
	file := filepath.Join(dir, "Modelfile")
	if err := os.WriteFile(file, []byte("FROM "+gguf+"\nSYSTEM You answer in one word.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, "create", "made", "-f", file)
	s.smelt(t, "ollama", "check")
	out := filepath.Join(dir, "out.gguf")
	s.smelt(t, "convert", "ollama:made", out, "--raw")
	if got, want := fileSHA256(t, out), fileSHA256(t, gguf); got != want {
		t.Errorf("the export has SHA-256 %s, the file that ollama was given %s", got, want)
	}
	// From one store to another, the other not yet there.
	other := filepath.Join(dir, "other")
	smelt(t, "convert", "ollama:made", "ollama:moved", "--ollama-dir", s.models, "--ollama-to", other)
	again := filepath.Join(dir, "again.gguf")
	smelt(t, "convert", "ollama:moved", again, "--raw", "--ollama-dir", other)
	if got, want := fileSHA256(t, again), fileSHA256(t, gguf); got != want {
		t.Errorf("moved to another store and exported: SHA-256 %s, want %s", got, want)
	}
}

// Through every kind of file and back nothing changes.
func TestEveryRoundTripKeepsTensorsAndMetadata(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	smelt(t, append([]string{"convert", need(t, model("smollm2.pt")), path("first.gguf"), "--type", "f16"}, smollm2Tokenizer(t, "smollm2.pt")...)...)
	smelt(t, "convert", path("first.gguf"), "ollama:round", "--ollama-dir", path("store"))
	smelt(t, "convert", "ollama:round", path("second.gguf"), "--raw", "--ollama-dir", path("store"))
	smelt(t, "convert", path("second.gguf"), path("shards.gguf"), "--split-max-size", "100MB")
	shards, err := filepath.Glob(path("shards-*.gguf"))
	if err != nil || len(shards) < 3 {
		t.Fatalf("shards %q, %v", shards, err)
	}
	smelt(t, "merge", shards[1], path("third.gguf"))
	want := fileSHA256(t, path("first.gguf"))
	for _, name := range []string{"second.gguf", "third.gguf"} {
		if got := fileSHA256(t, path(name)); got != want {
			t.Errorf("%s has SHA-256 %s, first.gguf %s", name, got, want)
		}
	}
	// Not raw, the export carries the store's texts as well; all else is the same.
	smelt(t, "convert", "ollama:round", path("fourth.gguf"), "--ollama-dir", path("store"))
	first, fourth := inspect(t, path("first.gguf")), inspect(t, path("fourth.gguf"))
	sameTensors(t, fourth.Tensors, first.Tensors)
	for key, value := range first.Metadata {
		if !reflect.DeepEqual(fourth.Metadata[key], value) {
			t.Errorf("%s = %v, want %v", key, fourth.Metadata[key], value)
		}
	}
}

// Killed at any point, an import leaves a store from which the running server lists and serves whole models only.
func TestKillingAnImportNeverBreaksTheServersStore(t *testing.T) {
	const points = 100
	s, bin := serve(t), need(t, smeltBinary)
	gguf := filepath.Join(t.TempDir(), "m.gguf")
	smelt(t, "convert", stories(t), gguf)
	addArgs := func(name string) []string {
		return []string{"convert", gguf, "ollama:" + name, "--copy", "--ollama-dir", s.models}
	}
	began := time.Now()
	smelt(t, addArgs("whole")...)
	took := time.Since(began)
	random := rand.New(rand.NewPCG(3, 3))
	killed := 0
	for attempt := 0; killed < points && attempt < 10*points; attempt++ {
		name := fmt.Sprintf("k%d", attempt)
		if stopped(t, exec.Command(bin, addArgs(name)...), syscall.SIGKILL, time.Duration(random.Int64N(int64(took)*11/10))) {
			killed++
		} else {
			took = took * 19 / 20
		}
		for _, tag := range s.tags(t) {
			var shown struct{ Details struct{ Family string } }
			if code := s.post(t, "/api/show", map[string]string{"model": tag}, &shown); code != http.StatusOK || shown.Details.Family != "llama" {
				t.Fatalf("after %d kills the server lists %s and shows it with %d, family %q", killed, tag, code, shown.Details.Family)
			}
		}
		if slices.Contains(s.tags(t), name+":latest") {
			s.smelt(t, "ollama", "rm", name)
		}
	}
	if killed < points {
		t.Errorf("only %d imports were killed before they ended, want %d", killed, points)
	}
	smelt(t, addArgs("again")...)
	s.smelt(t, "ollama", "check")
	if got := s.tags(t); !slices.Contains(got, "again:latest") || !slices.Contains(got, "whole:latest") {
		t.Errorf("the server lists %q", got)
	}
}
