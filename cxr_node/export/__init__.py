"""Films and results for retraining, de-identified (PS3.15 annex E)."""
