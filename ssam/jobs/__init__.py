"""Jobs: the queue's client for the app, the runner process, and the race process it starts."""
