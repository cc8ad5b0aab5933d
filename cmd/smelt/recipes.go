package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/quantize"
)

// A recipeRow is one recipe in the list of smelt recipes.
type recipeRow struct {
	Name     string `json:"name"`
	FileType uint32 `json:"file_type"`
	Default  string `json:"default"`
	Rules    int    `json:"rules"`
}

func (p *program) recipesCommand() *cli.Command {
	var asJSON bool
	return &cli.Command{
		Name:  "recipes",
		Usage: "list the types of smelt quantize, or show one as a recipe to start from",
		UsageText: `smelt recipes [show NAME] [FLAGS]

smelt recipes
smelt recipes show Q4_K_M
smelt recipes show Q4_K_M > mine.yaml`,
		Description:  "A recipe says which type each tensor gets, and why. smelt quantize SRC DST --recipe FILE follows one of your own.",
		Flags:        []cli.Flag{&cli.BoolFlag{Name: "json", DisableDefaultText: true, Usage: "print the list as JSON", Destination: &asJSON}},
		OnUsageError: onUsageError,
		BashComplete: func(*cli.Context) { fmt.Fprintln(p.out, "show") },
		Action: func(c *cli.Context) error {
			p.json = asJSON
			if c.NArg() == 0 {
				return p.listRecipes()
			}
			if c.Args().First() != "show" || asJSON {
				return usagef("smelt recipes takes nothing, or show NAME without --json; see smelt recipes --help")
			}
			if err := wantArgs(c, 2, "the NAME of a recipe after show"); err != nil {
				return err
			}
			return p.showRecipe(c.Args().Get(1))
		},
	}
}

func (p *program) listRecipes() error {
	rows := []recipeRow{}
	for _, r := range quantize.Recipes() {
		if r.Quantizes() {
			rows = append(rows, recipeRow{r.Name, r.FileType, r.Default.String(), len(r.Rules)})
		}
	}
	if p.json {
		return p.printJSON(rows)
	}
	t := p.table()
	fmt.Fprint(t, "NAME\tFILE TYPE\tMOST TENSORS\tRULES\n")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%d\t%s\t%d\n", r.Name, r.FileType, r.Default, r.Rules)
	}
	return t.Flush()
}

func (p *program) showRecipe(name string) error {
	r, err := quantize.ParseRecipe(name)
	if err != nil {
		return asUsage(err)
	}
	text, err := convert.MarshalRecipe(r)
	if err != nil {
		return asUsage(err)
	}
	_, err = p.out.Write(text)
	return err
}
