#!/usr/bin/env python3
"""Makes the fixtures of this folder with the original libraries.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 transformers==5.24.0
    python3 make.py STORIES260K_TOKENIZER_MODEL      (run in this folder)

sp_*.model    SentencePiece models trained here, with what the library says of them in sp_*.want.json
splits.json   where the definitions of pretokenizers.json cut the texts of ../corpus.txt: bytes of each word
hf_*.json     tokenizer.json files written by tokenizers, with what it says of them in hf_*.want.json
stories260K*  the tokenizer of karpathy/tinyllamas stories260K (MIT), and the tokenizer.json that
              transformers makes of it

It also checks, on a corpus, the equalities that recognizing pre-tokenizers relies on.
"""
import io
import json
import pathlib
import re
import shutil
import sys

import sentencepiece as spm
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.convert_slow_tokenizer import generate_merges

HERE = pathlib.Path(__file__).parent
CORPUS = [
    "Hello, world! The quick brown fox jumps over the lazy dog. It's, you've, WE'LL, they'd; don't!",
    "  two  spaces\tand\ttabs\n\nand newlines\r\n   ", "1234567890 3.14159 1,000,000 0x1F ½ ² ٣٤٥",
    "Ünïcödé é vs é", "日本語のテキスト、句読点。中文分词测试，你好世界 한국어 텍스트", "Привет, как дела? مرحبا بالعالم नमस्ते",
    "def f(x):\n    return x**2  # comment\n", "snake_case CamelCase kebab-case https://example.com/a?b=c&d=%20e 🙂👩‍👩‍👧‍👦",
    "low lower lowest new newer newest wide wider widest in the of and to a is that it was for on",
]


def train_sp(name: str, **options) -> None:
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 4), model_writer=out, hard_vocab_limit=False,
        normalization_rule_name=options.pop("normalization_rule_name", "identity"), minloglevel=2, **options)
    (HERE / f"sp_{name}.model").write_bytes(out.getvalue())
    describe_sp(f"sp_{name}")


def describe_sp(name: str) -> None:
    p = spm.SentencePieceProcessor(model_file=str(HERE / f"{name}.model"))
    kinds = [(2, p.IsUnknown), (3, p.IsControl), (5, p.IsUnused), (6, p.IsByte)]
    ids = range(p.vocab_size())
    (HERE / f"{name}.want.json").write_text(json.dumps({
        "pieces": [p.IdToPiece(i) for i in ids],
        "scores": [p.GetScore(i) for i in ids],
        "types": [next((t for t, is_kind in kinds if is_kind(i)), 1) for i in ids],
        "special": {r: i for r, i in (("bos", p.bos_id()), ("eos", p.eos_id()), ("unk", p.unk_id()), ("pad", p.pad_id())) if i >= 0},
    }, ensure_ascii=False) + "\n")


def train_hf(name: str, normalizer, pre_tokenizer, decoder, byte_level: bool, post_processor=None) -> Tokenizer:
    t = Tokenizer(models.BPE(unk_token=None if byte_level else "<unk>", byte_fallback=not byte_level))
    if normalizer:
        t.normalizer = normalizer
    if pre_tokenizer:
        t.pre_tokenizer = pre_tokenizer
    t.decoder = decoder
    alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_level else []
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] if byte_level else ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    t.train_from_iterator(CORPUS * 4, trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, special_tokens=special, show_progress=False))
    if not byte_level:
        j = json.loads(t.to_str())  # bytes are ordinary tokens of published files
        j["added_tokens"] = [a for a in j["added_tokens"] if not a["content"].startswith("<0x")]
        t = Tokenizer.from_str(json.dumps(j))
    t.add_tokens([AddedToken("▁▁▁▁", normalized=False), AddedToken("<|looks_special|>")])
    if post_processor:
        t.post_processor = post_processor
    t.save(str(HERE / f"{name}.json"))
    describe_hf(name)
    return t


def describe_hf(name: str) -> None:
    t = Tokenizer.from_file(str(HERE / f"{name}.json"))
    added = t.get_added_tokens_decoder()
    (HERE / f"{name}.want.json").write_text(json.dumps({
        "tokens": [t.id_to_token(i) for i in range(t.get_vocab_size())],
        "added": {str(i): a.special for i, a in sorted(added.items())},
    }, ensure_ascii=False) + "\n")


def old_merges(name: str, to: str) -> None:
    j = json.loads((HERE / f"{name}.json").read_text())
    j["model"]["merges"] = [" ".join(pair) for pair in j["model"]["merges"]]
    (HERE / f"{to}.json").write_text(json.dumps(j, ensure_ascii=False))
    assert Tokenizer.from_file(str(HERE / f"{to}.json")).get_vocab() == Tokenizer.from_file(str(HERE / f"{name}.json")).get_vocab()


def check_equalities() -> None:
    for row in json.loads((HERE / "pretokenizers.json").read_text()):
        chain = [json.dumps(c, ensure_ascii=False) for c in row["pre_tokenizer"]]
        t = Tokenizer.from_str(TEMPLATE % ", ".join(chain))  # Oniguruma accepts every expression
        for text in CORPUS:
            t.pre_tokenizer.pre_tokenize_str(text)
    gpt2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    llada = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    plain = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    split = lambda re, how="isolated", invert=False: pre_tokenizers.Split(Regex(re), how, invert)
    byte = lambda use: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use)
    for a, b in (
        (byte(True), pre_tokenizers.Sequence([split(gpt2), byte(False)])),
        (split(llada), split(plain)),
        (split(plain), split(plain, "removed", True)),
        (split(gpt2), split(gpt2, "removed", True)),
    ):
        for text in CORPUS:
            assert a.pre_tokenize_str(text) == b.pre_tokenize_str(text), (text, a, b)


TEMPLATE = ('{"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [%s]},'
            '"post_processor": null, "decoder": null, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}')


def unescape(line: str) -> str:
    """Reads the escapes of Go strings."""
    known = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
    escape = re.compile(r"\\(?:u([0-9a-f]{4})|U([0-9a-f]{8})|(.))")
    return escape.sub(lambda m: known[m[3]] if m[3] else chr(int(m[1] or m[2], 16)), line)


def splits() -> None:
    texts = [unescape(line) for line in (HERE / "../corpus.txt").read_text().split("\n")[:-1]]
    found = {}
    for row in json.loads((HERE / "pretokenizers.json").read_text()):
        chain = [json.dumps(c, ensure_ascii=False) for c in row["pre_tokenizer"]]
        pre = Tokenizer.from_str(TEMPLATE % ", ".join(chain)).pre_tokenizer
        found[row["source"]] = [[len(word) for word, _ in pre.pre_tokenize_str(text)] for text in texts]
    (HERE / "splits.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")


def stories(path: str) -> None:
    shutil.copyfile(path, HERE / "stories260K.model")
    describe_sp("stories260K")
    vocab, scores = {}, {}
    p = spm.SentencePieceProcessor(model_file=path)
    for i in range(p.vocab_size()):
        vocab[p.IdToPiece(i)], scores[p.IdToPiece(i)] = i, p.GetScore(i)
    t = Tokenizer(models.BPE(vocab, generate_merges(vocab, scores), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    t.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    t.save(str(HERE / "stories260K.json"))
    for text in ("Once upon a time", "Lily and Tom went to the park.  They saw a big dog!", "123\n"):
        assert t.encode(text).ids[1:] == p.encode(text), text


train_sp("bpe", vocab_size=420, model_type="bpe", byte_fallback=True, user_defined_symbols=["<sep>", "▁▁"],
         control_symbols=["<ctl>"], pad_id=3, add_dummy_prefix=False)
train_sp("unigram", vocab_size=160, model_type="unigram", remove_extra_whitespaces=False,
         normalization_rule_tsv=str(HERE / "rules.tsv"), bos_piece="[BOS]", eos_piece="[EOS]")
train_sp("word", vocab_size=40, model_type="word")
train_sp("char", vocab_size=160, model_type="char")

byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
train_hf("hf_digits", None, pre_tokenizers.Sequence([pre_tokenizers.Digits(True), byte_level]), decoders.ByteLevel(), True)
train_hf("hf_template", normalizers.NFC(), byte_level, decoders.ByteLevel(), True,
         processors.TemplateProcessing("<|im_start|> $A <|im_end|>", special_tokens=[("<|im_start|>", 1), ("<|im_end|>", 2)]))
old_merges("hf_digits", "hf_digits_old")
train_hf("hf_metaspace", None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
         decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]), False)
stories(sys.argv[1])
splits()
check_equalities()
