"""What happens when something dies, fills up or is damaged: real processes, the real engine, a home folder of its own."""
