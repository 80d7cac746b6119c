"""Where the optimizer and its masks meet what others built: sharded tensors, loss scaling, autocast, compiled models, Accelerate.

What is here keeps a combination right that would go wrong without a word, or refuses it.
"""
