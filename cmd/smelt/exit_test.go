package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/arch"
	"github.com/smelt-project/smelt/pickle"
	"github.com/smelt-project/smelt/tensor"
)

func TestExitCodesFollowTheTable(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"done", nil, 0},
		{"failed", &tensor.Error{Op: "open", Err: tensor.ErrCorrupt}, 1},
		{"interrupted", context.Canceled, 1},
		{"usage", fmt.Errorf("convert: %w", usagef("bad flag: %w", tensor.ErrUnsupported)), 2},
		{"dangerous", fmt.Errorf("open: %w", &pickle.DangerError{File: "a.pt"}), 3},
		{"dangerous, and closing failed", errors.Join(&pickle.DangerError{File: "a.pt"}, os.ErrClosed), 3},
		{"scan, unknown", errUnknown, 4},
		{"scan, unreadable", errUnreadable, 1},
	} {
		if got := exitOf(c.err); got != c.want {
			t.Errorf("%s: exitOf(%v) = %d; want %d", c.name, c.err, got, c.want)
		}
	}
	for code := range len(exits) {
		if want := fmt.Sprintf("- %d: ", code); !strings.Contains(exitHelp(), want) {
			t.Errorf("help lacks %q:\n%s", want, exitHelp())
		}
	}
}

func TestMessagesNameTheFlagAndHideNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"interrupted", errors.Join(fmt.Errorf("run: %w", context.Canceled)), "interrupted, nothing was written"},
		{"interrupted, and something is left", errors.Join(context.Canceled, os.ErrPermission), "context canceled\npermission denied"},
		{"dangerous", &pickle.DangerError{File: "a.pt"}, "(--force-inert)"},
		{"several models", fmt.Errorf("a.pt: %w", &arch.AmbiguousError{Roots: []string{"ema"}}), "(--root)"},
		{"plain", os.ErrNotExist, "file does not exist"},
	} {
		if got := message(c.err); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: message = %q; want %q at its end", c.name, got, c.want)
		}
	}
}

// A full disk fails every write.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"smelt", "version"}, fullDisk{}, &stderr); code != 1 || stderr.String() != "smelt: write standard output: no space left on device\n" {
		t.Errorf("exit %d, %q; want 1 and the reason", code, stderr.String())
	}
}
