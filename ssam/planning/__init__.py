"""What a step and a race cost, before they are run."""
