"""The Unified Procedure Step service over the worklist (PS3.4 annex CC), whichever way it is spoken: DIMSE or HTTP."""
