package ollama_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"strings"
	"testing/fstest"

	"github.com/smelt-project/smelt/ollama"
)

func ExampleParseName() {
	for _, s := range []string{"llama3", "hf.co/user/model:Q4_K_M", "../secret"} {
		n, err := ollama.ParseName(s)
		if err != nil {
			what, _, _ := strings.Cut(err.Error(), ";")
			fmt.Println(what)
			continue
		}
		fmt.Println(n, n.Path())
	}
	// Output:
	// llama3:latest registry.ollama.ai/library/llama3/latest
	// hf.co/user/model:Q4_K_M hf.co/user/model/Q4_K_M
	// ollama: parse name: "../secret": not a model name: the namespace ".." has "." at position 1
}

// tinyStore is a store in memory with the model tiny:latest.
func tinyStore() fstest.MapFS {
	files := fstest.MapFS{}
	var layers []string
	for _, l := range []struct{ kind, data string }{
		{"model", "GGUF…"},
		{"system", "Be brief."},
		{"params", `{"stop":["<|im_end|>"],"temperature":0.7}`},
	} {
		digest := fmt.Sprintf("%x", sha256.Sum256([]byte(l.data)))
		files["blobs/sha256-"+digest] = &fstest.MapFile{Data: []byte(l.data)}
		layers = append(layers, fmt.Sprintf(`{"mediaType":"application/vnd.ollama.image.%s","digest":"sha256:%s","size":%d}`,
			l.kind, digest, len(l.data)))
	}
	manifest := `{"schemaVersion":2,"layers":[` + strings.Join(layers, ",") + `]}`
	files["manifests/registry.ollama.ai/library/tiny/latest"] = &fstest.MapFile{Data: []byte(manifest)}
	return files
}

func ExampleStore_Resolve() {
	store := ollama.Open(tinyStore()) // or ollama.Dir("/home/me/.ollama/models")
	name, err := ollama.ParseName("tiny")
	if err != nil {
		log.Fatal(err)
	}
	model, err := store.Resolve(name)
	if err != nil {
		log.Fatal(err)
	}
	for _, b := range model.Blobs {
		fmt.Printf("%s: %d bytes, %s\n", b.Kind.Role, b.Size, b.Kind.About)
	}
	for _, kv := range model.Metadata() {
		fmt.Printf("%s = %v\n", kv.Key, kv.Value)
	}
	// Output:
	// model: 7 bytes, the model itself: weights, hyperparameters and tokenizer
	// system: 9 bytes, the system prompt
	// params: 41 bytes, parameters such as temperature and stop strings
	// ollama.name = tiny:latest
	// ollama.system = Be brief.
	// ollama.params.stop = [<|im_end|>]
	// ollama.params.temperature = 0.7
}

func ExampleModel_Modelfile() {
	model, err := ollama.Open(tinyStore()).Resolve(ollama.Name{
		Host: ollama.DefaultHost, Namespace: ollama.DefaultNamespace, Model: "tiny", Tag: ollama.DefaultTag})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(model.Modelfile(ollama.ModelfileOptions{From: "./tiny.gguf"}))
	// Output:
	// # Makes "tiny:latest" again: ollama create NAME -f Modelfile
	// FROM ./tiny.gguf
	// SYSTEM """Be brief."""
	// PARAMETER stop "<|im_end|>"
	// PARAMETER temperature 0.7
}

func ExampleNewVerifyReader() {
	const digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // of "abc"
	for _, content := range []string{"abc", "abd"} {
		r, err := ollama.NewVerifyReader(strings.NewReader(content), 3, digest)
		if err != nil {
			log.Fatal(err)
		}
		data, err := io.ReadAll(r)
		what, _, _ := strings.Cut(fmt.Sprint(err), ":")
		fmt.Printf("%q, %s\n", data, what)
	}
	// Output:
	// "abc", <nil>
	// "", digest differs
}
