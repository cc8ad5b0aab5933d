package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/urfave/cli/v2"

	"github.com/smelt-project/smelt/ollama"
)

// scriptCommands are what the scripts can do beside testscript's own commands.
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits":       exitsWith,
	"jsonfields":  jsonFields,
	"pickled":     pickled,
	"checkpoint":  checkpoint,
	"store":       store,
	"damage":      damage,
	"interrupted": interrupted,
	"atmost":      atMost,
}

// exits CODE PROGRAM ARGS... runs a program that has to end with CODE.
func exitsWith(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s exits with %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// atmost BYTES FILE... checks the size of files together.
func atMost(ts *testscript.TestScript, _ bool, args []string) {
	limit, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	var sum int64
	for _, name := range args[1:] {
		st, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		sum += st.Size()
	}
	if sum > limit {
		ts.Fatalf("%d bytes, more than %d", sum, limit)
	}
}

// jsonfields FIELD... checks that stdout is one JSON object, or a list of
// objects, of exactly these fields in this order.
func jsonFields(ts *testscript.TestScript, _ bool, want []string) {
	d := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	first, err := d.Token()
	ts.Check(err)
	if first == json.Delim('[') {
		_, err = d.Token()
		ts.Check(err)
	}
	var got []string
	for d.More() {
		key, err := d.Token()
		ts.Check(err)
		got = append(got, fmt.Sprint(key))
		var skipped json.RawMessage
		ts.Check(d.Decode(&skipped))
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		ts.Fatalf("fields %v, want %v", got, want)
	}
}

// pickled SRC DST OPCODES copies a PyTorch zip and inserts opcodes, a quoted Go
// string, behind the protocol opcode of its data.pkl.
func pickled(ts *testscript.TestScript, _ bool, args []string) {
	opcodes, err := strconv.Unquote(args[2])
	ts.Check(err)
	src, err := zip.OpenReader(ts.MkAbs(args[0]))
	ts.Check(err)
	defer src.Close()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range src.File {
		r, err := f.Open()
		ts.Check(err)
		b, err := io.ReadAll(r)
		ts.Check(err)
		if strings.HasSuffix(f.Name, "/data.pkl") {
			b = append(append(b[:2:2], opcodes...), b[2:]...)
		}
		to, err := w.CreateHeader(&zip.FileHeader{Name: f.Name, Method: zip.Store})
		ts.Check(err)
		_, err = to.Write(b)
		ts.Check(err)
	}
	ts.Check(w.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), out.Bytes(), 0o644))
}

// checkpoint DST ROWS COLUMNS VALUE writes a PyTorch zip of one f32 tensor w,
// whose first element is VALUE and whose others are 0.
func checkpoint(ts *testscript.TestScript, _ bool, args []string) {
	rows, err := strconv.ParseUint(args[1], 10, 31)
	ts.Check(err)
	columns, err := strconv.ParseUint(args[2], 10, 31)
	ts.Check(err)
	value, err := strconv.ParseFloat(args[3], 32)
	ts.Check(err)
	int32s := func(n uint64) string { return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
	pkl := "\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" +
		int32s(rows*columns) + "tQK\x00" + int32s(rows) + int32s(columns) + "\x86" + int32s(columns) + "K\x01\x86\x89ccollections\nOrderedDict\n)RtRs."
	data := make([]byte, 4*rows*columns)
	binary.LittleEndian.PutUint32(data, math.Float32bits(float32(value)))
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	w := zip.NewWriter(f)
	for _, member := range []struct {
		name string
		data []byte
	}{{"made/data.pkl", []byte(pkl)}, {"made/data/0", data}, {"made/version", []byte("3\n")}} {
		to, err := w.CreateHeader(&zip.FileHeader{Name: member.name, Method: zip.Store})
		ts.Check(err)
		_, err = to.Write(member.data)
		ts.Check(err)
	}
	ts.Check(w.Close())
	ts.Check(f.Close())
}

// store DIR NAME GGUF makes an Ollama models directory that holds a model of
// that name, with a template, a system prompt, parameters and a license.
func store(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	name, err := ollama.ParseName(args[1])
	ts.Check(err)
	weights, err := os.ReadFile(ts.MkAbs(args[2]))
	ts.Check(err)
	layer := func(mediaType string, data []byte) ollama.Layer {
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256(data))
		write(ts, filepath.Join(dir, "blobs", strings.Replace(digest, ":", "-", 1)), data)
		return ollama.Layer{MediaType: mediaType, Digest: digest, Size: int64(len(data))}
	}
	m := ollama.Manifest{SchemaVersion: 2, MediaType: ollama.ManifestMediaType, Config: layer(ollama.ConfigMediaType, []byte(`{"model_format":"gguf","model_family":"llama"}`))}
	for _, l := range []struct{ kind, data string }{
		{"model", string(weights)},
		{"template", "{{ .System }} {{ .Prompt }}"},
		{"system", "You tell stories."},
		{"params", `{"temperature":0.5,"stop":["\n\n"]}`},
		{"license", "MIT"},
	} {
		m.Layers = append(m.Layers, layer("application/vnd.ollama.image."+l.kind, []byte(l.data)))
	}
	b, err := json.Marshal(m)
	ts.Check(err)
	write(ts, filepath.Join(dir, "manifests", filepath.FromSlash(name.Path())), b)
}

// damage DIR changes the last byte of the largest file of a folder.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	var largest string
	var content []byte
	for _, e := range entries {
		path := filepath.Join(ts.MkAbs(args[0]), e.Name())
		b, err := os.ReadFile(path)
		ts.Check(err)
		if len(b) > len(content) {
			largest, content = path, b
		}
	}
	content[len(content)-1] ^= 1
	ts.Check(os.WriteFile(largest, content, 0o644))
}

func write(ts *testscript.TestScript, path string, data []byte) {
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, data, 0o644))
}

// interrupted PROGRAM ARGS... starts a program, interrupts it when it has
// printed its first line on standard error, and writes all of that to the file
// interrupted.txt, behind its exit code.
func interrupted(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(args[0], args[1:]...) // testscript.Main has put the program into this process's PATH
	cmd.Dir = ts.Getenv("WORK")
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	lines := bufio.NewReader(stderr)
	first, err := lines.ReadString('\n')
	ts.Check(err)
	ts.Check(cmd.Process.Signal(os.Interrupt))
	rest, err := io.ReadAll(lines)
	ts.Check(err)
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		ts.Check(err)
	}
	write(ts, ts.MkAbs("interrupted.txt"), fmt.Appendf(nil, "exit %d\n%s%s", cmd.ProcessState.ExitCode(), first, rest))
}

// hasFlag reports whether a flag is called name.
func hasFlag(flags []cli.Flag, name string) bool {
	for _, f := range flags {
		for _, n := range f.Names() {
			if n == name {
				return true
			}
		}
	}
	return false
}
