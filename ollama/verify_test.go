package ollama_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/ollama/ollamatest"
)

func TestVerifyReaderFailsInPlaceOfTheEnd(t *testing.T) {
	content := []byte(strings.Repeat("weights ", 1000))
	digest := ollamatest.Digest(content)
	flipped := bytes.Clone(content)
	flipped[4321] ^= 1
	for _, tt := range []struct {
		name   string
		actual []byte
		want   error
	}{
		{"right", content, nil},
		{"flipped bit", flipped, ollama.ErrDigest},
		{"truncated", content[:len(content)-1], ollama.ErrTruncated},
		{"empty", nil, ollama.ErrTruncated},
		{"one byte more", append(bytes.Clone(content), 'x'), ollama.ErrOversize},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"whole":       func(r io.Reader) io.Reader { return r },
			"one byte":    iotest.OneByteReader,
			"data and EO": iotest.DataErrReader,
		} {
			v, err := ollama.NewVerifyReader(wrap(bytes.NewReader(tt.actual)), int64(len(content)), digest)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(v)
			if !errors.Is(err, tt.want) {
				t.Errorf("%s, %s: ReadAll failed with %v; want %v", tt.name, how, err, tt.want)
			}
			if tt.want == nil && !bytes.Equal(got, content) {
				t.Errorf("%s, %s: the content was changed", tt.name, how)
			}
			if _, again := v.Read(make([]byte, 1)); tt.want != nil && !errors.Is(again, tt.want) {
				t.Errorf("%s, %s: the next Read failed with %v; want %v again", tt.name, how, again, tt.want)
			}
		}
	}
}

func TestVerifyReaderHoldsBackTheEndOfWrongContent(t *testing.T) {
	content := []byte("abcdefgh")
	v, err := ollama.NewVerifyReader(strings.NewReader("abcdefgX"), int64(len(content)), ollamatest.Digest(content))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(v, make([]byte, len(content))); !errors.Is(err, ollama.ErrDigest) {
		t.Errorf("ReadFull of exactly the size = %v; want ErrDigest", err)
	}
}

func TestVerifyReaderOfNothing(t *testing.T) {
	v, err := ollama.NewVerifyReader(strings.NewReader(""), 0, ollamatest.Digest(nil))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := v.Read(nil); n != 0 || err != nil {
		t.Errorf("Read(nil) = %d, %v; want 0, nil", n, err)
	}
	if n, err := v.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("Read = %d, %v; want 0, EOF", n, err)
	}
	wrong, err := ollama.NewVerifyReader(strings.NewReader(""), 0, digestA)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.Read(make([]byte, 1)); !errors.Is(err, ollama.ErrDigest) {
		t.Errorf("Read = %v; want ErrDigest", err)
	}
	if _, err := ollama.NewVerifyReader(strings.NewReader(""), 0, "md5:0"); !errors.Is(err, ollama.ErrMalformed) {
		t.Errorf("NewVerifyReader = %v; want ErrMalformed", err)
	}
}

func TestVerifyReaderPassesOnTheReadersError(t *testing.T) {
	broken := errors.New("disk on fire")
	v, err := ollama.NewVerifyReader(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)), 10, digestA)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(v); !errors.Is(err, broken) {
		t.Errorf("ReadAll = %v; want %v", err, broken)
	}
}
