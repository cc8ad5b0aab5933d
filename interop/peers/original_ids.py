#!/usr/bin/env python3
"""Tokenize texts with the original library.

  original_ids.py PATH < texts.json

PATH is a folder of transformers, or a SentencePiece model. Prints a list of ids for each text, without the tokens
around it; transformers finds special tokens in the text, sentencepiece does not.
"""

import json
import sys

path, texts = sys.argv[1], json.load(sys.stdin)
if path.endswith(".model"):
    from sentencepiece import SentencePieceProcessor

    ids = SentencePieceProcessor(model_file=path).encode(texts)
else:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path)
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
json.dump(ids, sys.stdout)
