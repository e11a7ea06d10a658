"""The pool's own side: networks as replicas of a Ray Serve application. The only importer of Ray; see ADR 13."""
