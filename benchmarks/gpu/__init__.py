"""Everything that the project wants to know from a GPU, by one command: ``make gpu``, or ``python -m benchmarks.gpu``.

Needs torch, numpy, pydantic, and Pillow for a zip of images; no network. Takes at most about eight minutes. Every part runs even if one before
it fails, and what it found is written at once, so that a machine that is taken away loses nothing but the running part:

- ``checks``: what can differ on a GPU: bf16 autocast, event timing, pinned memory, channels_last, resuming, prefix reuse, compile;
- ``race``: SGD, SAM, SSAM-F and SSAM-D on colour images;
- ``steps``: paired times of training steps, eager and compiled.

``python -m benchmarks.gpu --rehearse`` does the same in miniature on a CPU. ``python -m benchmarks.gpu.record FOLDER`` puts the results into
``assets/``, on a machine with the whole lab.
"""
