package ollama

// A Role says what a blob is in its model.
type Role string

// The roles; [MediaTypes] says what each is.
const (
	RoleConfig    Role = "config"
	RoleModel     Role = "model"
	RoleProjector Role = "projector"
	RoleAdapter   Role = "adapter"
	RoleDraft     Role = "draft"
	RoleTemplate  Role = "template"
	RoleSystem    Role = "system"
	RoleParams    Role = "params"
	RoleMessages  Role = "messages"
	RoleLicense   Role = "license"
	RoleTensor    Role = "tensor"
	RoleJSON      Role = "json"
	RoleEmbed     Role = "embed"
	RoleUnknown   Role = "unknown"
)

// An Encoding says what the bytes of a blob are.
type Encoding string

// The encodings.
const (
	EncodingGGUF        Encoding = "gguf"
	EncodingText        Encoding = "text"
	EncodingJSON        Encoding = "json"
	EncodingSafetensors Encoding = "safetensors"
	EncodingUnknown     Encoding = "unknown"
)

// A Repeat says what Ollama does with several layers of one role.
type Repeat string

// The ways to treat several layers of one role.
const (
	UseAll   Repeat = "all"
	UseFirst Repeat = "first"
	UseLast  Repeat = "last"
	UseNone  Repeat = "none" // Ollama ignores the role
)

// A MediaType describes the layers of one media type.
type MediaType struct {
	Type     string // as in the manifest; "" in the row for all others
	Role     Role
	Encoding Encoding
	Repeat   Repeat
	// Max is the greatest size in bytes that is read into memory with the
	// manifest; 0: the blob is opened only when asked for.
	Max   int64
	About string // what the blob is, in plain words

	load func(*Model, []byte) error
}

// Type names that manifests carry.
const (
	ManifestMediaType = "application/vnd.docker.distribution.manifest.v2+json"
	ConfigMediaType   = "application/vnd.docker.container.image.v1+json"
	imagePrefix       = "application/vnd.ollama.image."
)

// Limits of ours for what is kept in memory. Real templates, prompts and
// licenses have at most some 100 KB, params and configs a few hundred bytes;
// messages may carry images as base64.
const (
	maxJSON     = 1 << 20
	maxText     = 4 << 20
	maxMessages = 16 << 20
	// maxTexts bounds the layers of one model together, so that naming one
	// blob many times costs no memory.
	maxTexts = 64 << 20
)

var mediaTypes = []MediaType{
	{ConfigMediaType, RoleConfig, EncodingJSON, UseLast, maxJSON,
		"what Ollama shows about the model: format, family, size, quantization", (*Model).loadConfig},
	{imagePrefix + "model", RoleModel, EncodingGGUF, UseLast, 0,
		"the model itself: weights, hyperparameters and tokenizer", nil},
	{imagePrefix + "projector", RoleProjector, EncodingGGUF, UseFirst, 0,
		"the image or audio encoder that feeds the model", nil},
	{imagePrefix + "adapter", RoleAdapter, EncodingGGUF, UseAll, 0,
		"a LoRA adapter that is added to the weights", nil},
	{imagePrefix + "draft", RoleDraft, EncodingGGUF, UseLast, 0,
		"a small model that drafts tokens for speculative decoding", nil},
	{imagePrefix + "template", RoleTemplate, EncodingText, UseLast, maxText,
		"how a chat becomes a prompt, in Go's text/template language", (*Model).loadTemplate},
	{imagePrefix + "prompt", RoleTemplate, EncodingText, UseLast, maxText,
		"how a chat becomes a prompt, under the name that early versions used", (*Model).loadTemplate},
	{imagePrefix + "system", RoleSystem, EncodingText, UseLast, maxText,
		"the system prompt", (*Model).loadSystem},
	{imagePrefix + "params", RoleParams, EncodingJSON, UseAll, maxJSON,
		"parameters such as temperature and stop strings", (*Model).loadParams},
	{imagePrefix + "messages", RoleMessages, EncodingJSON, UseLast, maxMessages,
		"messages with which every chat begins", (*Model).loadMessages},
	{imagePrefix + "license", RoleLicense, EncodingText, UseAll, maxText,
		"a license of the model", (*Model).loadLicense},
	{imagePrefix + "tensor", RoleTensor, EncodingSafetensors, UseAll, 0,
		"one tensor of a model for the MLX engine", nil},
	{imagePrefix + "json", RoleJSON, EncodingJSON, UseAll, 0,
		"a Hugging Face configuration or tokenizer file of a model for the MLX engine", nil},
	{imagePrefix + "embed", RoleEmbed, EncodingUnknown, UseNone, 0,
		"embeddings of an early version, which Ollama ignores now", nil},
}

var unknownMediaType = MediaType{"", RoleUnknown, EncodingUnknown, UseNone, 0,
	"of a media type that is not known, which Ollama ignores", nil}

// MediaTypes returns the media types that a manifest's layers can have, one row
// each. (ollama server/images.go GetModel, server/create.go and
// x/create/writer.go @fb3076099)
func MediaTypes() []MediaType { return append([]MediaType(nil), mediaTypes...) }

// LookupMediaType returns the row of [MediaTypes] for t, or a row of
// [RoleUnknown] that bears its name.
func LookupMediaType(t string) MediaType {
	for _, m := range mediaTypes {
		if m.Type == t {
			return m
		}
	}
	m := unknownMediaType
	m.Type = t
	return m
}
