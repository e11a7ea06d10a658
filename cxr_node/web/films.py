"""The films of a study, as its page shows them: what was said of each, in words and bars, and which pictures it has."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cxr_node.domain.finding import Analysis
from cxr_node.locale.terms import FLAGS
from cxr_node.store import assessments, results, studies
from cxr_node.store.db import Tx
from cxr_node.web.rows import Voice, bar
from cxr_node.web.site import Site

Shown = dict[str, Any]


def films(site: Site, study: Mapping[str, Any], voice: Voice) -> list[Shown]:
    """The current films of a study that is given in the shape of `study --json`."""
    with site.store.reading() as tx:
        images = studies.images(tx, study["study_instance_uid"], site.judging.model_digest)
        failures = {image.digest: image.failure for image in images}
        return [
            _film(site, tx, {**one, "failure": failures.get(one["digest"])}, study["results"], voice)
            for one in study["instances"]
            if one["state"] == "current"
        ]


def _film(site: Site, tx: Tx, film: Shown, said: Sequence[Shown], voice: Voice) -> Shown:
    judged = results.load_served(tx, film["digest"], site.judging.model_digest)
    flags = assessments.flags(tx, film["digest"])
    of_film = [one for one in said if one["sop_instance_uid"] == film["sop_instance_uid"]]
    earlier = [one for one in of_film if one["role"] == "service" and judged is None][-1:]
    further = [one for one in of_film if one["role"] == "further"]
    cutoffs = site.judging.cutoffs
    return {
        **film,
        "film": film["digest"][:12],
        "pictured": site.pictured(film, judged=bool(of_film)),
        "heated": judged is not None and cutoffs.positive(judged.probability) and site.facts.localises,
        "judged": judged,
        "flags": None if flags is None else [voice.word(FLAGS, flag) for flag in flags],
        "why_not": voice.told(film["refusal"]["reason"] if film["refusal"] else film["failure"]),
        "earlier": [(one, _classes(one["probabilities"], voice)) for one in earlier],
        "further": [(one, voice.finding(one["finding"]), _bar(site, one)) for one in further],
        "finding": voice.finding(judged.finding) if judged else "",
        "bar": bar(judged.probability, cutoffs.threshold) if judged else None,
        "classes": _classes(judged.probabilities, voice) if judged else [],
        "restricted": [
            voice.restricted(model) for model in dict.fromkeys(_restricted(site, judged, earlier + further))
        ],
    }


def _classes(probabilities: Mapping[str, float], voice: Voice) -> list[tuple[str, Shown | None]]:
    return [(voice.finding(name), bar(value, None)) for name, value in probabilities.items()]


def _bar(site: Site, result: Shown) -> Shown | None:
    """With the threshold of its own model, as far as that is here."""
    judging = site.reads(result["model"], result["version"])
    return bar(result["probability"], judging.cutoffs.threshold if judging else None)


def _restricted(site: Site, judged: Analysis | None, others: Sequence[Shown]) -> Iterator[str]:
    """Those of the models that said something whose training films do not allow every use."""
    if judged and site.judging.restricted:
        yield f"{judged.model.name} {judged.model.version}"
    for one in others:
        if (judging := site.reads(one["model"], one["version"])) and judging.restricted:
            yield f"{one['model']} {one['version']}"
