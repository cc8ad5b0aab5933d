#!/usr/bin/env python3
"""Lay out a GGUF file as a model in an Ollama models directory.

  make_store.py MODELDIR GGUF NAME          NAME: model[:tag], in registry.ollama.ai/library

As `ollama create` does it (ollama manifest/, types/model/): blobs named by their digest, the manifest last. The model
gets a template, a system prompt, parameters, a license and a conversation of its own, to be found again by a reader.
"""

import hashlib
import json
import pathlib
import shutil
import sys

TEMPLATE = "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}<|im_start|>user\n{{ .Prompt }}<|im_end|>\n<|im_start|>assistant\n"
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
PARAMS = {"num_ctx": 2048, "stop": ["<|im_start|>", "<|im_end|>"], "temperature": 0.2, "top_p": 0.9}
MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello! How can I help?"}]
LICENSE = "Apache License, Version 2.0\n\nNo warranty.\n"
CONFIG = {
    "model_format": "gguf",
    "model_family": "llama",
    "model_families": ["llama"],
    "model_type": "134.52M",
    "file_type": "Q4_1",
    "architecture": "amd64",
    "os": "linux",
}
MEDIA = "application/vnd.ollama.image."


class Store:
    def __init__(self, folder):
        self.blobs, self.manifests = folder / "blobs", folder / "manifests"
        self.blobs.mkdir(parents=True, exist_ok=True)

    def put(self, media_type, data):
        digest = hashlib.sha256(data).hexdigest()
        (self.blobs / f"sha256-{digest}").write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def put_file(self, media_type, path):
        with open(path, "rb") as f:
            digest = hashlib.file_digest(f, "sha256").hexdigest()
        shutil.copyfile(path, self.blobs / f"sha256-{digest}")
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": path.stat().st_size}

    def publish(self, name, config, layers):
        model, _, tag = name.partition(":")
        path = self.manifests / "registry.ollama.ai" / "library" / model / (tag or "latest")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps(
                {
                    "schemaVersion": 2,
                    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                    "config": config,
                    "layers": layers,
                },
                separators=(",", ":"),
            )
        )


def main(folder, gguf, name):
    store = Store(pathlib.Path(folder))
    compact = lambda v: json.dumps(v, separators=(",", ":")).encode()
    layers = [
        store.put_file(MEDIA + "model", pathlib.Path(gguf)),
        store.put(MEDIA + "template", TEMPLATE.encode()),
        store.put(MEDIA + "system", SYSTEM.encode()),
        store.put(MEDIA + "params", compact(PARAMS)),
        store.put(MEDIA + "messages", compact(MESSAGES)),
        store.put(MEDIA + "license", LICENSE.encode()),
    ]
    store.publish(name, store.put("application/vnd.docker.container.image.v1+json", compact(CONFIG)), layers)


if __name__ == "__main__":
    main(*sys.argv[1:])
