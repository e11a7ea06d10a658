"""What a model was when it judged a film, as conditions of SQL: jobs tell."""

SERVED = """
    (EXISTS (SELECT 1 FROM job WHERE kind = 'analyse' AND subject = r.instance_digest AND target = r.model_digest)
    OR NOT EXISTS (SELECT 1 FROM job WHERE kind IN ('further', 'shadow') AND subject = r.instance_digest
        AND target = r.model_digest))
"""
"""Whether the result `r` is of a model that was in service for it, and not of one beside it."""

FURTHER = """
    EXISTS (SELECT 1 FROM job WHERE kind = 'further' AND subject = r.instance_digest AND target = r.model_digest)
"""
"""Whether the result `r` is of a model that the report has beside the one in service."""

UNJUDGED = f"""
    NOT EXISTS (SELECT 1 FROM job WHERE kind = 'analyse' AND subject = i.digest AND target = :model)
    AND NOT EXISTS (SELECT 1 FROM result r WHERE r.instance_digest = i.digest AND r.model_digest = :model AND {SERVED})
"""  # noqa: S608 - a constant condition
"""Whether the film `i` was neither judged by `:model` in service, nor is about to be."""
