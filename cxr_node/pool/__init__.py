"""Ray, and its only importer: the pool's own side (ADR 13), and films of years, judged into a table (ADR 16)."""
