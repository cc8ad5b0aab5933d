package tokenizer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Options changes how a tokenizer is read. The zero value is the default.
type Options struct {
	// Pre is the name of the pre-tokenizer, tokenizer.ggml.pre, of a byte-level
	// vocabulary; "" recognizes it by its definition.
	Pre string
}

// maxSentencePiece bounds a tokenizer.model; the largest published ones have 15 MB (XLM-V).
const maxSentencePiece = 64 << 20

// sentencePieceNames are the names of SentencePiece models beside a checkpoint.
var sentencePieceNames = []string{"tokenizer.model", "spiece.model"}

// unusable lists files that hold a tokenizer in a form this package does not read.
var unusable = []struct{ name, what string }{
	{"tekken.json", "a Mistral tekken vocabulary; the Hugging Face release of the model has a tokenizer.json"},
	{"vocab.txt", "a WordPiece vocabulary"},
	{"merges.txt", "a byte-pair vocabulary in two files; loading and saving it with transformers gives a tokenizer.json"},
}

// Open reads the tokenizer in folder dir of fsys: tokenizer.json if it is
// byte-level byte-pair, else tokenizer.model or spiece.model, else tokenizer.json;
// with what the files beside it say: tokenizer_config.json, added_tokens.json,
// special_tokens_map.json, config.json, generation_config.json and chat templates.
// It fails with [ErrNotFound] if there is no tokenizer.
func Open(fsys fs.FS, dir string) (*Vocab, error) { return Options{}.Open(fsys, dir) }

// OpenFile reads the tokenizer file of that name, a tokenizer.json or
// SentencePiece model by its content, with what the files beside it say.
func OpenFile(name string) (*Vocab, error) { return Options{}.OpenFile(name) }

// Open is [Open] with options.
func (o Options) Open(fsys fs.FS, dir string) (*Vocab, error) {
	f := folder{fsys, dir}
	hf, err := f.huggingFace("tokenizer.json")
	if err != nil {
		return nil, err
	}
	if hf != nil && hf.model.check() == nil && hf.byteLevel() {
		return f.openHuggingFace("tokenizer.json", hf, o)
	}
	for _, name := range sentencePieceNames {
		b, found, err := f.read(name, maxSentencePiece)
		if err != nil {
			return nil, err
		}
		if found && (hf == nil || disguised(b) == "") {
			return f.openSentencePiece(name, b, hf)
		}
	}
	if hf != nil {
		return f.openHuggingFace("tokenizer.json", hf, o)
	}
	return nil, f.nothing()
}

// OpenFile is [OpenFile] with options.
func (o Options) OpenFile(name string) (*Vocab, error) {
	dir, base := filepath.Split(name)
	if dir == "" {
		dir = "."
	}
	f := folder{os.DirFS(dir), "."}
	b, found, err := f.read(base, maxJSON)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, &Error{Op: "tokenizer: open", File: name, Offset: -1, Err: fs.ErrNotExist}
	}
	if !looksJSON(b) {
		v, err := f.openSentencePiece(base, b, nil)
		return v, inFolder(dir, err)
	}
	hf, err := parseHuggingFace(b)
	if err != nil {
		return nil, inFile(name, err)
	}
	v, err := f.openHuggingFace(base, hf, o)
	return v, inFolder(dir, err)
}

func looksJSON(b []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(b[:min(len(b), 64)], "\ufeff \t\r\n"), []byte("{"))
}

// inFolder completes the file name of an error from inside dir.
func inFolder(dir string, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	whole := *e
	whole.File = filepath.Join(dir, e.File)
	return &whole
}

// huggingFace parses the tokenizer.json called name; nil if there is none.
func (f folder) huggingFace(name string) (*hfFile, error) {
	b, found, err := f.read(name, maxJSON)
	if err != nil || !found {
		return nil, err
	}
	hf, err := parseHuggingFace(b)
	return hf, inFile(f.path(name), err)
}

func (f folder) openHuggingFace(name string, hf *hfFile, o Options) (*Vocab, error) {
	side, err := f.sidecar()
	if err != nil {
		return nil, err
	}
	v, err := hf.vocab(o, side)
	return v, inFile(f.path(name), err)
}

// openSentencePiece reads b, the SentencePiece model called name. hf, the
// tokenizer.json beside it, may be nil.
func (f folder) openSentencePiece(name string, b []byte, hf *hfFile) (*Vocab, error) {
	m, err := parseSentencePiece(b)
	if err != nil {
		return nil, inFile(f.path(name), err)
	}
	side, err := f.sidecar()
	if err != nil {
		return nil, err
	}
	v, err := m.with(side, hf)
	if err != nil {
		return nil, &Error{Op: "tokenizer: read SentencePiece", File: f.path(name), Offset: -1, Err: err}
	}
	return v, nil
}

func (f folder) nothing() error {
	for _, u := range unusable {
		if _, err := fs.Stat(f.fsys, f.path(u.name)); err == nil {
			return &Error{Op: "tokenizer: open", File: f.path(u.name), Offset: -1, Err: fmt.Errorf("%w: this is %s", ErrUnsupported, u.what)}
		}
	}
	return &Error{
		Op: "tokenizer: open", File: f.dir, Offset: -1,
		Err: fmt.Errorf("%w: the folder has no tokenizer.json, %s; name one with --tokenizer FILE", ErrNotFound, strings.Join(sentencePieceNames, ", ")),
	}
}
