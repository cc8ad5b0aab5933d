// Package ollama reads the directory in which Ollama keeps its models.
//
// A model there is one manifest and the blobs that it names:
//
//	manifests/<host>/<namespace>/<model>/<tag>   JSON, one file for each tag
//	blobs/sha256-<64 hex digits>                 content, named by its SHA-256
//
// [Dir] opens such a directory and [Open] the same layout in any [fs.FS].
// [Store.Resolve] turns a name into a [Model]: its weights, projectors and
// adapters as blobs that are opened when asked for, its template, system
// prompt, parameters, messages and licenses as values. Nothing that was read
// through [VerifyReader], [File.Verify] or Resolve's values is handed out as
// good before its size and digest have been compared with the manifest's.
//
// Everything in the directory is taken as hostile: names cannot lead out of
// manifests/, manifests and text layers have size limits, and only regular
// files are read. Symbolic links among the blobs are followed, as Ollama
// follows them, and reported.
//
// The layout and the rules are those of github.com/ollama/ollama at commit
// fb3076099 (packages manifest, types/model, parser and server).
package ollama
