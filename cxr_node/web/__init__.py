"""What the node shows over HTTP: the worklist and study pages, JSON, health, metrics; and who may see it."""
