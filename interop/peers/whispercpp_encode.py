"""Time how long whisper.cpp takes to encode 30 seconds of silence.

whispercpp_encode.py MODEL.bin THREADS

For each line of standard input the encoder runs once and its seconds are printed; the spectrogram is made before.
"""

import sys
import time

import _pywhispercpp
import numpy

RATE = 16000


def main():
    path, threads = sys.argv[1], int(sys.argv[2])
    context = _pywhispercpp.whisper_init_from_file_with_params(path, _pywhispercpp.whisper_context_default_params())
    if _pywhispercpp.whisper_pcm_to_mel(context, numpy.zeros(30 * RATE, numpy.float32), 30 * RATE, threads) != 0:
        sys.exit("no spectrogram")
    for _ in sys.stdin:
        began = time.perf_counter()
        if _pywhispercpp.whisper_encode(context, 0, threads) != 0:
            sys.exit("the encoder failed")
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
