// Package ollama reads and writes the directory in which Ollama keeps its models.
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
// [Store.Add] puts a model into a store that a server may be using: blobs are
// made without a name, or with one that a server removes after an hour, become
// visible when their digest is known and they are on the disk, and the manifest
// follows last, in one step. A file on the store's file system is not copied: its
// blocks are shared where the file system can do that (reflink), which keeps both
// apart; else the blob is the file itself under one more name (hard link), so
// that a write into the file, unlike its replacement, damages the blob. Check
// finds that, and AddOptions.Copy avoids it.
//
// [Store.Check] reads everything again, [Store.Remove] and [Store.Collect] remove
// what nothing refers to, and nothing while a manifest cannot be read. Programs
// that use this package keep out of each other's way by a lock on the blobs
// folder, which Ollama neither needs nor knows.
//
// The layout and the rules are those of github.com/ollama/ollama at commit
// fb3076099 (packages manifest, types/model, parser and server).
package ollama
