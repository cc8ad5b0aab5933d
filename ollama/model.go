package ollama

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// A Model is what one manifest describes: blobs, and the content of the small
// ones among them. It does not change after [Store.Resolve] has returned it.
type Model struct {
	Name     Name // as spelled in the store
	Path     string
	Manifest *Manifest
	// Blobs are the config, if there is one, and all layers in the manifest's
	// order, those that Ollama ignores included.
	Blobs []Blob

	Config   Config
	Template string // Go text/template, not the Jinja of a GGUF's chat template
	System   string
	Params   Params
	Messages []Message
	Licenses []string

	// Notes are sentences about what is unusual and was dealt with: layers that
	// are ignored, links, text that is not UTF-8.
	Notes []string

	messagesJSON []byte
	text         int64 // bytes of text layers read so far
	missing      int   // blobs
}

// Resolve reads the manifest of n and all its text layers, whose digests are
// verified, and looks for the files of the others. n is looked up as
// [Store.Lookup] does.
//
// If blobs that Ollama uses are missing or broken, the error joins an [*Error]
// for each, and the model is returned as well, so that what is there can be
// shown; nothing of it may then be taken as complete. Without a readable
// manifest there is no model. If the manifest was replaced meanwhile, the error
// is ErrChanged.
func (s *Store) Resolve(n Name) (*Model, error) {
	n, err := s.Lookup(n)
	if err != nil {
		return nil, err
	}
	manifest, _, err := s.manifest(n)
	if err != nil {
		return nil, err
	}
	m := &Model{Name: n, Path: s.path("manifests", n.Path()), Manifest: manifest}
	m.gather(s)
	err = m.load()
	if err != nil && s.replaced(m) {
		return nil, &Error{Op: "ollama: read model", Model: n.String(), Path: m.Path,
			Err: fmt.Errorf("the manifest %w (%w)", ErrChanged, err), Fix: "try again when Ollama has finished with the model"}
	}
	return m, err
}

// replaced reports whether m's manifest is not in the store any more.
func (s *Store) replaced(m *Model) bool {
	now, _, err := s.manifest(m.Name)
	return err != nil || now.ID != m.Manifest.ID
}

// gather lists the blobs of m and finds their files. Its place makes a layer the
// config, whatever its media type says, as in Ollama.
func (m *Model) gather(s *Store) {
	if m.Manifest.Config.Digest != "" {
		m.add(s, m.Manifest.Config, LookupMediaType(ConfigMediaType))
	}
	for _, l := range m.Manifest.Layers {
		kind := LookupMediaType(l.MediaType)
		if kind.Role == RoleConfig {
			kind = unknownMediaType
		}
		m.add(s, l, kind)
	}
	m.decideUse()
}

func (m *Model) add(s *Store, l Layer, kind MediaType) {
	b := Blob{Layer: l, Kind: kind, store: s, model: m.Name.String()}
	if b.Err = b.find(); errors.Is(b.Err, ErrMissing) {
		if m.missing++; m.missing <= maxExplained {
			b.Err = b.explainAbsence()
		}
	}
	m.Blobs = append(m.Blobs, b)
}

// decideUse sets Used and notes what is not.
func (m *Model) decideUse() {
	last := map[Role]int{}
	first := map[Role]int{}
	for i, b := range m.Blobs {
		if _, ok := first[b.Kind.Role]; !ok {
			first[b.Kind.Role] = i
		}
		last[b.Kind.Role] = i
	}
	for i := range m.Blobs {
		b := &m.Blobs[i]
		role := b.Kind.Role
		switch b.Kind.Repeat {
		case UseAll:
			b.Used = true
		case UseFirst:
			b.Used = i == first[role]
		case UseLast:
			b.Used = i == last[role]
		case UseNone:
		}
		m.noteUse(b)
	}
}

func (m *Model) noteUse(b *Blob) {
	switch {
	case b.Kind.Repeat == UseNone:
		m.note("layer %s of media type %s is ignored, as Ollama does: it is %s", b.Digest, shorten(b.MediaType), b.Kind.About)
	case !b.Used:
		m.note("%s %s is ignored: of several, Ollama uses the %s", b.Kind.Role, b.Digest, b.Kind.Repeat)
	case b.Link != "":
		m.note("%s %s is a symbolic link to %s", b.Kind.Role, b.Digest, visible(b.Link))
	}
}

// maxNotes keeps a manifest of many bad layers from becoming a flood.
const maxNotes = 100

func (m *Model) note(format string, args ...any) {
	switch {
	case len(m.Notes) < maxNotes:
		m.Notes = append(m.Notes, fmt.Sprintf(format, args...))
	case len(m.Notes) == maxNotes:
		m.Notes = append(m.Notes, "there is more to note than can be listed")
	}
}

// maxExplained is how many broken blobs of a model are told of one by one.
const maxExplained = 20

// load reads the text layers that are used and reports all broken blobs.
func (m *Model) load() error {
	var errs []error
	for i := range m.Blobs {
		b := &m.Blobs[i]
		if !b.Used {
			continue
		}
		if b.Err == nil && b.Kind.load != nil {
			b.Err = m.loadBlob(b)
		}
		errs = append(errs, b.Err)
	}
	return errors.Join(firstErrors(errs, maxExplained)...)
}

func (m *Model) loadBlob(b *Blob) error {
	if b.Size > b.Kind.Max || b.Size > maxTexts-m.text {
		return b.fail("read blob", fmt.Errorf("%w: it has %d bytes, at most %d of a %s and %d of all texts are read",
			ErrTooLarge, b.Size, b.Kind.Max, b.Kind.Role, int64(maxTexts)))
	}
	m.text += b.Size
	data, err := b.read()
	if err != nil {
		return err
	}
	if !utf8.Valid(data) {
		m.note("%s %s is not valid UTF-8", b.Kind.Role, b.Digest)
	}
	if err := b.Kind.load(m, data); err != nil {
		return b.fail("read blob", err)
	}
	return nil
}

// read returns the verified content of a blob that is known to be small.
func (b *Blob) read() ([]byte, error) {
	r, err := b.Reader()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

func (m *Model) loadConfig(data []byte) (err error) {
	m.Config, err = ParseConfig(data)
	return err
}

func (m *Model) loadTemplate(data []byte) error {
	m.Template = string(data)
	return nil
}

func (m *Model) loadSystem(data []byte) error {
	m.System = string(data)
	return nil
}

// loadParams adds to what an earlier params layer set.
func (m *Model) loadParams(data []byte) error {
	params, err := ParseParams(data)
	for _, p := range params {
		m.Params = m.Params.set(p)
		if !isKeyWord(p.Name) {
			m.note("the parameter %s is left out of the metadata: no key can have this name", shorten(p.Name))
		}
	}
	return err
}

func (m *Model) loadMessages(data []byte) (err error) {
	if m.Messages, err = ParseMessages(data); err != nil {
		return err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return malformed("messages: %w", err)
	}
	m.messagesJSON = compact.Bytes()
	return nil
}

func (m *Model) loadLicense(data []byte) error {
	m.Licenses = append(m.Licenses, string(data))
	return nil
}

// ByRole returns the blobs of a role that Ollama uses, in the manifest's order.
func (m *Model) ByRole(role Role) []*Blob {
	var blobs []*Blob
	for i := range m.Blobs {
		if b := &m.Blobs[i]; b.Used && b.Kind.Role == role {
			blobs = append(blobs, b)
		}
	}
	return blobs
}

// Weights returns the blob that is the model's GGUF file. It fails with
// ErrUnsupported if the weights are not in this store as such a file, saying
// where they are.
func (m *Model) Weights() (*Blob, error) {
	if blobs := m.ByRole(RoleModel); len(blobs) > 0 {
		return blobs[0], nil
	}
	e := &Error{Op: "ollama: read model", Model: m.Name.String(), Path: m.Path}
	tensors := len(m.ByRole(RoleTensor))
	switch {
	case tensors > 0:
		e.Err = fmt.Errorf("%w: the weights are %d safetensors layers for Ollama's MLX engine", ErrUnsupported, tensors)
		e.Fix = "use the model's GGUF variant, or the Hugging Face folder it was made from"
	case m.Config.RemoteHost != "":
		e.Err = fmt.Errorf("%w: it is a cloud model; its weights stay on %.200q", ErrUnsupported, m.Config.RemoteHost)
		e.Fix = "use a model whose name does not end in cloud"
	default:
		e.Err = fmt.Errorf("%w: none of the manifest's %d layers is a model", ErrUnsupported, len(m.Manifest.Layers))
		e.Fix = "pull or create the model again"
	}
	return nil, e
}
