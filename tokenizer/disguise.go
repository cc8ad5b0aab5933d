package tokenizer

import "bytes"

// disguised recognizes what is often saved in place of a tokenizer file; "" if
// b is none of it.
func disguised(b []byte) string {
	head := bytes.TrimLeft(b[:min(len(b), 512)], "\ufeff \t\r\n")
	for _, d := range disguises {
		if len(head) >= len(d.prefix) && bytes.EqualFold(head[:len(d.prefix)], []byte(d.prefix)) {
			return d.what
		}
	}
	return ""
}

var disguises = []struct{ prefix, what string }{
	{"version https://git-lfs", "this is a Git LFS pointer, not the file: run \"git lfs pull\" or download the file itself"},
	{"<!doctype html", "this is an HTML page, not a tokenizer: the download went wrong"},
	{"<html", "this is an HTML page, not a tokenizer: the download went wrong"},
	{"IQ== 0\n", "this is a tiktoken vocabulary, which does not say how text is split: use the tokenizer.json of the same model"},
}
