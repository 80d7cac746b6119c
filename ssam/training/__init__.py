"""What a race and the analyses of it share: ways to take a step, the learning rate, timing, and masks as they are kept and told."""
