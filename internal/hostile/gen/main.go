// Gen writes every hostile file into a folder, to try other readers on them.
//
//	go run ./internal/hostile/gen DIR
//
// Do not load the files with Python: several of them run programs.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/smelt-project/smelt/internal/hostile"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write makes each case a file of dir, or a folder of files.
func write(dir string) error {
	cases := hostile.All()
	for _, c := range cases {
		files := map[string][]byte{"": nil}
		if c.Folder != nil {
			files = c.Folder()
		} else {
			files[""] = c.Make()
		}
		for name, b := range files {
			path := filepath.Join(dir, c.Name, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(path, b, 0o644); err != nil {
				return err
			}
		}
	}
	fmt.Printf("%d cases in %s\n", len(cases), dir)
	return nil
}
