"""What the backends with a database share: its connections and the history of jobs."""
