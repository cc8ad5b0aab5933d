package pickle_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/smelt-project/smelt/pickle"
)

// A pickle that would run a program is described, not run.
func ExampleScanReader() {
	file := "\x80\x02cos\nsystem\nX\x04\x00\x00\x00echo\x85R."
	rep := pickle.ScanReader(context.Background(), strings.NewReader(file), int64(len(file)), "model.pkl", pickle.ScanOptions{})
	fmt.Println(rep.Verdict)
	for _, g := range rep.Globals {
		fmt.Printf("%s.%s is %s at byte %d: %s\n", g.Module, g.Name, g.Use, g.Offset, g.Why)
	}
	// Output:
	// dangerous
	// os.system is called at byte 2: runs programs
}

func ExampleSniff() {
	page := []byte("<!DOCTYPE html><title>Sign in</title>")
	fmt.Println(pickle.Sniff(page).Advice())
	// Output:
	// this is an HTML page, not a checkpoint: the download returned a login, error or preview page; fetch the file itself
}
