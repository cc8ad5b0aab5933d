package convert

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestReportAppearsWhenComplete(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report")
	say := func(s string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
	}
	for _, text := range []string{"first", "second, which replaces it"} {
		if err := WriteReport(path, say(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q, %v; want %q", got, err, text)
		}
	}
	failure := errors.New("no more")
	err := WriteReport(path, func(w io.Writer) error { return errors.Join(say("half")(w), failure) })
	if !errors.Is(err, failure) {
		t.Errorf("error %v; want that of the writer", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "second, which replaces it" {
		t.Errorf("after a failure: %q, %v", got, err)
	}
	if names := left(t, dir); len(names) != 1 {
		t.Errorf("the folder holds %v", names)
	}
}
