"""The page of duels: methods tuned alike, then judged on fresh seeds."""
