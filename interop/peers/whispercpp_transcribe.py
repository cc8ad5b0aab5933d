#!/usr/bin/env python3
"""Transcribe a WAV file with whisper.cpp, as pywhispercpp runs it by default.

  whispercpp_transcribe.py MODEL.bin AUDIO.wav RESULT.json

RESULT: {"segments_10ms": [[start, end, text]]}. It is a file of its own because the library logs to standard output.
"""

import json
import pathlib
import sys

from pywhispercpp.model import Model

model, audio, result = sys.argv[1:]
segments = Model(model, n_threads=2).transcribe(audio)
pathlib.Path(result).write_text(json.dumps({"segments_10ms": [[s.t0, s.t1, s.text] for s in segments]}))
