"""Records: the fewest gradients that reach a test accuracy. A record is a short script with its output, and ``python -m ssam record check`` runs it
again.

The script defines ``train(model, batches)``; everything else belongs to the check, so that no script can count its own gradients or see a test
image: the seeds, the initial network, the training images, the count and the accuracy. ``docs/records.md`` has the rules.
"""
