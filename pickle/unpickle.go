package pickle

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	vm "github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"

	"github.com/smelt-project/smelt/tensor"
)

// A machine runs one pickle. It is the only user of gopickle, and what gopickle
// is given has passed the audit.
type machine struct {
	r       *reader
	member  string
	storage func(id storageID) (any, error) // resolves a persistent id
	nested  func(b []byte) (any, error)     // reads a file that is a bytes object
	classes map[string]any
}

// run runs the pickle at the start of b, which a is the audit of, unless the
// audit or the options refuse it. base is where b starts in member, or in the
// file if member is "".
func (r *reader) run(member string, base int64, b []byte, a *Audit, storage func(storageID) (any, error)) (any, error) {
	if err := r.allow(a); err != nil {
		return nil, err
	}
	if a.Err != nil {
		return nil, r.located(member, base, a.Err)
	}
	if r.depth == 0 { // a file in a pickle's bytes is a part of that pickle
		r.room += roomPerByte * a.Size
	}
	m := &machine{r: r, member: member, storage: storage, nested: r.nested, classes: make(map[string]any)}
	b = b[:a.Size]
	v, at, err := m.run(&speller{b: b})
	if err != nil {
		return nil, r.located(member, base, &tensor.Error{Op: "pickle: run", Offset: int64(at), Err: err})
	}
	return v, nil
}

// located completes an error inside a pickle by the place of the pickle. One
// that comes from a file inside the pickle says where it is already.
func (r *reader) located(member string, base int64, err error) error {
	var danger *DangerError
	if errors.As(err, &danger) {
		return danger
	}
	var at *tensor.Error
	if !errors.As(err, &at) {
		return &tensor.Error{Op: "pickle: run", File: r.file, Member: member, Offset: base, Err: err}
	}
	if at.File != "" {
		return err
	}
	e := *at
	e.File, e.Member, e.Offset = r.file, member, base+at.Offset
	return &e
}

// run is the one place where a panic is caught: gopickle's. On failure at says
// which instruction of the pickle the machine has read.
func (m *machine) run(in *speller) (v any, at int, err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		v, at, err = nil, in.at(), fmt.Errorf("pickle machine panicked with a %T: %w", p, tensor.ErrCorrupt)
		if re, ok := p.(runtime.Error); ok {
			err = fmt.Errorf("pickle machine: %w: %w", re, tensor.ErrCorrupt)
		}
	}()
	u := vm.NewUnpickler(in)
	u.PersistentLoad = m.persistent
	u.GetExtension = func(code int) (any, error) { return m.class("copyreg", fmt.Sprintf("extension_%d", code)) }
	v, err = u.Load()
	if err == nil {
		return v, 0, nil
	}
	if ours(err) {
		return nil, in.at(), err
	}
	msg, _, _ := strings.Cut(err.Error(), ":") // what follows a colon may be a whole value, of any size
	return nil, in.at(), fmt.Errorf("pickle machine: %.80s: %w", msg, tensor.ErrCorrupt)
}

// ours reports whether err comes from one of our hooks and not from gopickle.
func ours(err error) bool {
	for _, class := range []error{tensor.ErrCorrupt, tensor.ErrUnsupported, tensor.ErrTooLarge, tensor.ErrNotFound, ErrDangerous} {
		if errors.Is(err, class) {
			return true
		}
	}
	return false
}

// persistent answers what respell has turned into persistent ids.
func (m *machine) persistent(id any) (any, error) {
	if s, ok := id.(string); ok {
		module, name, _ := strings.Cut(s, "\x00")
		return m.class(module, name)
	}
	t, _ := id.(*types.Tuple)
	switch {
	case t != nil && t.Len() == 1:
		sid, err := parsePersistentID(t.Get(0))
		if err != nil {
			return nil, err
		}
		if sid.class != nil {
			return sid.class, nil
		}
		return m.storage(sid)
	case t != nil && t.Len() == 2:
		if args, ok := t.Get(0).(*types.Tuple); ok {
			return m.instance(t.Get(1), *args)
		}
		module, ok := t.Get(0).(string)
		name, ok2 := t.Get(1).(string)
		if !ok || !ok2 {
			return nil, fmt.Errorf("STACK_GLOBAL takes a %s and a %s for names: %w", kindOf(t.Get(0)), kindOf(t.Get(1)), tensor.ErrCorrupt)
		}
		return m.class(module, name)
	}
	return nil, fmt.Errorf("persistent id is a %s: %w", kindOf(id), tensor.ErrCorrupt)
}

func (m *machine) instance(of any, args []any) (any, error) {
	c, ok := of.(*class)
	if !ok {
		return nil, fmt.Errorf("INST of a %s: %w", kindOf(of), tensor.ErrCorrupt)
	}
	return c.PyNew(args...)
}

// class returns the value of a global: always the same one for a name, so that
// it can be a key.
func (m *machine) class(module, name string) (any, error) {
	full := canonicalName(module, name)
	if v, ok := m.classes[full]; ok {
		return v, nil
	}
	const classBytes = 400
	if err := m.r.take(classBytes + int64(len(full))); err != nil {
		return nil, err
	}
	row := builders[full]
	v := row.value
	if v == nil {
		v = &class{m: m, name: full, row: row}
	}
	m.classes[full] = v
	return v, nil
}

// renamed modules: Python 2 names and a torch module that moved.
var renamedModules = map[string]string{
	"__builtin__":  "builtins",
	"copy_reg":     "copyreg",
	"torch.tensor": "torch._tensor",
}

// canonicalName joins a module and a name as the builders table spells them.
func canonicalName(module, name string) string {
	if to, ok := renamedModules[module]; ok {
		module = to
	}
	if rest, ok := strings.CutPrefix(module, "numpy._core."); ok {
		module = "numpy.core." + rest
	}
	return module + "." + name
}
