package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/ollama"
)

// errBrokenStore is the outcome of a check that found damage.
var errBrokenStore = errors.New("models of the store are broken")

// ollamaFlags are the flags of smelt ollama.
type ollamaFlags struct {
	dir     string
	json    bool
	dryRun  bool
	grace   time.Duration
	workers int
}

// A storeVerb is what smelt ollama can do with a store.
type storeVerb struct {
	name     string
	min, max int      // arguments behind it
	args     string   // what help calls them
	flags    []string // beside those of all verbs
	run      func(p *program, ctx context.Context, names []ollama.Name, f *ollamaFlags) error
}

// storeVerbs is the table of what smelt ollama can do.
var storeVerbs = []storeVerb{
	{"ls", 0, 0, "", nil, (*program).listStore},
	{"show", 1, 1, "the NAME of a model", nil, (*program).showStored},
	{"check", 0, 1, "the NAME of a model or nothing", []string{"workers"}, (*program).checkStore},
	{"rm", 1, 1, "the NAME of a model", nil, (*program).removeStored},
	{"gc", 0, 0, "", []string{"dry-run", "grace"}, (*program).collectStore},
}

func verbNames() []string {
	var names []string
	for _, v := range storeVerbs {
		names = append(names, v.name)
	}
	return names
}

func (p *program) ollamaCommand() *cli.Command {
	f := &ollamaFlags{}
	return &cli.Command{
		Name:  "ollama",
		Usage: "look after the models of an Ollama store",
		UsageText: `smelt ollama ls|show|check|rm|gc [NAME] [FLAGS]

smelt ollama ls
smelt ollama show llama3
smelt ollama check
smelt ollama check llama3:8b
smelt ollama rm llama3
smelt ollama gc --dry-run`,
		Description: "ls lists the models with what each takes on disk and what it shares; show lists the blobs of one. " +
			"check reads every blob again and compares it with its digest: it names what is missing, truncated, corrupt, orphaned or cannot be read, and the models that it breaks; the exit code is 3 if there are any. " +
			"rm removes a model and the blobs that no other uses. gc removes blobs that nothing refers to, and what downloads and writers have left, if they are older than the grace time; " +
			"it removes nothing while a manifest cannot be read. The store may be in use by a running Ollama. smelt convert puts models into a store and takes them out.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "ollama-dir", Usage: "models `DIR` (default: OLLAMA_MODELS, then where Ollama keeps them)", Destination: &f.dir, TakesFile: true},
			&cli.BoolFlag{Name: "json", DisableDefaultText: true, Usage: "print one JSON value", Destination: &f.json},
			&cli.BoolFlag{Name: "dry-run", DisableDefaultText: true, Usage: "gc only: print what would be removed, and remove nothing", Destination: &f.dryRun},
			&cli.DurationFlag{Name: "grace", Usage: "gc only: spare what was written within `TIME`, such as 90m", Value: ollama.DefaultGrace, Destination: &f.grace},
			&cli.IntFlag{Name: "workers", DefaultText: "one per processor", Usage: "check only: read `N` blobs at once", Destination: &f.workers},
		},
		OnUsageError: onUsageError,
		BashComplete: func(*cli.Context) { fmt.Fprintln(p.out, strings.Join(verbNames(), "\n")) },
		Action:       func(c *cli.Context) error { return p.ollama(c, f) },
	}
}

func (p *program) ollama(c *cli.Context, f *ollamaFlags) error {
	p.json = f.json
	i := slices.IndexFunc(storeVerbs, func(v storeVerb) bool { return v.name == c.Args().First() })
	if i < 0 {
		return usagef("smelt ollama needs one of %s; see smelt ollama --help", oneOf(verbNames()))
	}
	v := storeVerbs[i]
	args := c.Args().Tail()
	if len(args) < v.min || len(args) > v.max {
		return usagef("smelt ollama %s takes %s; %d arguments were given", v.name, firstOf(v.args, "no argument"), len(args))
	}
	for _, own := range []string{"dry-run", "grace", "workers"} {
		if c.IsSet(own) && !slices.Contains(v.flags, own) {
			return usagef("--%s does not go with smelt ollama %s", own, v.name)
		}
	}
	if f.grace < 0 || f.workers < 0 {
		return usagef("--grace and --workers cannot be less than 0")
	}
	var names []ollama.Name
	for _, a := range args {
		a, _ = strings.CutPrefix(a, "ollama:") // as elsewhere
		n, err := ollama.ParseName(a)
		if err != nil {
			return asUsage(err)
		}
		names = append(names, n)
	}
	return v.run(p, c.Context, names, f)
}

// store opens the store that holds the models, or the first one.
func (f *ollamaFlags) store(names []ollama.Name) (*ollama.Store, error) {
	dirs := convert.StoreDirs(f.dir)
	if len(names) > 0 {
		return ollama.FindModel(dirs, names[0])
	}
	return ollama.Find(dirs)
}

// A storedModel is one model in the list of smelt ollama ls.
type storedModel struct {
	Name     string    `json:"name"` // "" if the manifest's path is no name's
	ID       string    `json:"id"`
	Path     string    `json:"path"` // of the manifest
	Family   string    `json:"family"`
	FileType string    `json:"file_type"`
	Params   string    `json:"parameters"`
	Bytes    int64     `json:"bytes"`  // on disk
	Own      int64     `json:"own"`    // of these, those that no other model uses
	Shared   int64     `json:"shared"` // those that others use too
	With     []string  `json:"shared_with"`
	Missing  int       `json:"missing"` // blobs that are not there as they should be
	Modified time.Time `json:"modified"`
	Error    string    `json:"error"` // why the manifest cannot be read; "" if it can
}

// A storeList is what smelt ollama ls prints.
type storeList struct {
	Store  string        `json:"store"`
	Models []storedModel `json:"models"`
	Bytes  int64         `json:"bytes"`  // of all blobs
	Unused int64         `json:"unused"` // of those that nothing refers to
}

func (p *program) listStore(_ context.Context, _ []ollama.Name, f *ollamaFlags) error {
	s, err := f.store(nil)
	if err != nil {
		return err
	}
	u, err := s.Usage()
	if err != nil {
		return err
	}
	list := storeList{Store: s.String(), Models: []storedModel{}, Bytes: u.Total, Unused: u.Unused}
	for _, m := range u.Models {
		row := storedModel{
			Name: m.Name.String(), Path: m.Path, Family: m.Config.Family, FileType: m.Config.FileType, Params: m.Config.ModelType,
			Bytes: m.Size, Own: m.Own, Shared: m.Shared, With: append([]string{}, m.With...), Missing: m.Missing, Modified: m.Modified.UTC(),
		}
		if m.Err != nil {
			row.Error = m.Err.Error()
		} else {
			row.ID = m.Manifest.ID
		}
		list.Models = append(list.Models, row)
	}
	if p.json {
		return p.printJSON(list)
	}
	return p.printStoreList(&list)
}

// shownID is how many digits of an ID Ollama shows.
const shownID = 12

func (p *program) printStoreList(list *storeList) error {
	t := p.table()
	fmt.Fprintln(t, "NAME\tID\tTYPE\tON DISK\tSHARED\tMODIFIED\tNOTE")
	for _, m := range list.Models {
		id := m.ID
		if len(id) > shownID {
			id = id[:shownID]
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", inline(firstOf(m.Name, m.Path)), id, inline(strings.TrimSpace(m.Params+" "+m.FileType)),
			size(m.Bytes), size(m.Shared), m.Modified.Format(time.DateTime), inline(m.note()))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "\n%s in %s: %s on disk", plural(len(list.Models), "model"), inline(list.Store), size(list.Bytes))
	if list.Unused > 0 {
		fmt.Fprintf(p.out, ", of which %s are used by none (smelt ollama gc)", size(list.Unused))
	}
	fmt.Fprintln(p.out)
	return nil
}

// note says what is special about a model.
func (m *storedModel) note() string {
	var notes []string
	if m.Error != "" {
		notes = append(notes, "cannot be read (smelt ollama check says why)")
	}
	if m.Missing > 0 {
		notes = append(notes, plural(m.Missing, "blob")+" missing or of another size")
	}
	if len(m.With) > 0 {
		notes = append(notes, "shares with "+strings.Join(m.With, ", "))
	}
	return strings.Join(notes, "; ")
}

// A storedDetail is what smelt ollama show prints.
type storedDetail struct {
	*storeEntry

	ID       string        `json:"id"`
	Path     string        `json:"path"` // of the manifest
	Config   ollama.Config `json:"config"`
	Template string        `json:"template"`
	System   string        `json:"system"`
	Params   ollama.Params `json:"params"`
	Licenses []string      `json:"licenses"`
	Notes    []string      `json:"notes"`
}

// showStored prints a model, what is there of it if it is not whole.
func (p *program) showStored(_ context.Context, names []ollama.Name, f *ollamaFlags) error {
	s, err := f.store(names)
	if err != nil {
		return err
	}
	m, broken := s.Resolve(names[0])
	if m == nil {
		return broken
	}
	d := &storedDetail{
		storeEntry: entryOf(m), ID: m.Manifest.ID, Path: m.Path, Config: m.Config, Template: m.Template, System: m.System,
		Params: m.Params, Licenses: append([]string{}, m.Licenses...), Notes: append([]string{}, m.Notes...),
	}
	if p.json {
		return errors.Join(broken, p.printJSON(d))
	}
	return errors.Join(broken, p.printStored(d))
}

func (p *program) printStored(d *storedDetail) error {
	t := p.table()
	c := d.Config
	for _, row := range []struct{ name, value string }{
		{"model", d.Name}, {"ID", d.ID}, {"manifest", d.Path}, {"format", c.Format}, {"family", c.Family}, {"parameters", c.ModelType}, {"type", c.FileType},
		{"system", brief(d.System)}, {"template", brief(d.Template)}, {"renderer", c.Renderer}, {"parser", c.Parser},
	} {
		if row.value != "" && row.value != `""` {
			fmt.Fprintf(t, "%s\t%s\n", row.name, inline(row.value))
		}
	}
	for _, param := range d.Params {
		fmt.Fprintf(t, "%s\t%s\n", inline(param.Name), inline(brief(param.Value)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if err := p.printStore(d.storeEntry); err != nil {
		return err
	}
	p.printNotes(d.Notes)
	return nil
}
