"""The cost of a step and of a race, before they are run."""
