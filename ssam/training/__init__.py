"""What a race and its analyses share: kinds of steps, the learning rate, timing, and masks as stored and reported."""
