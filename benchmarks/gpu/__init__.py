"""All GPU checks and timings, by one command: ``make gpu``, or ``python -m benchmarks.gpu``.

Needs torch, numpy, pydantic, and Pillow for a zip of images; no network. After eight minutes it starts no further timing. Every part runs even if one
before it fails, and its results are written at once: an interrupted run loses only the part in progress.

- ``checks``: what can differ on a GPU: bf16 autocast, event timing, pinned memory, channels_last, resuming, prefix reuse, compile;
- ``race``: SGD, SAM, SSAM-F and SSAM-D on colour images;
- ``steps``: paired times of training steps, eager and compiled.

``python -m benchmarks.gpu --rehearse`` does the same in miniature on a CPU. ``python -m benchmarks.gpu.record FOLDER`` puts the results into
``assets/``, on a machine with the whole lab.
"""
