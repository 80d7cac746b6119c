"""SAM optimizers in real training code: ours and two others, the same situations, right or wrong.

``python -m benchmarks.border`` tries every situation with each library and writes ``assets/measured/border.json`` and the table of
``docs/coming-from.md``. Each library is used as its own documentation says.
"""
