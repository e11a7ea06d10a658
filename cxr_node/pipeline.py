"""The flow of the node as one table. Read this first.

    C-STORE -> receive -> analyse -> settle -> report -> heatmap -> companions
                   \\-> compare  \\-> shadow  \\-> deliver  \\-> deliver  \\-> deliver -> commit
                                                                              \\-> key_objects -> deliver
                    \\-> announce -> transmit    (HL7: a tier at once, a result when its study has settled)
    a study, or a film of it, does not stand any more -> reject -> deliver
    N-ACTION -> confirm -> notify          a workitem moves -> tell
    HL7 -> orders

`receive` runs in the listener and is not a job: the peer waits for its answer. It stores the film, opens or moves its
worklist entry, and enqueues the first jobs, all in one transaction. Each job's result, its completion and its
successors are one transaction too; the end of an analysis moves the worklist inside its own. `commit` asks whether what
was delivered is kept; the answer may come over the listener. `confirm` and `notify` answer the X-ray machines that ask.
`tell` reports to who subscribed to workitems; whatever moves a study enqueues it. `inform` tells a hub what stands in
the worklist; the trail of events is its outbox, and is looked at every second. `lookup`, where a site wants it, asks
the RIS for a study's priority, beside all else; `crosscheck` asks the PACS whose it is, and settle waits for it.
`orders` runs in the process that takes the messages of the RIS, and is no job, either: it gives and closes priorities.
`announce` writes what the RIS is told, `transmit` sends it, one message of a destination after the other.
`reject` tells destinations by a note which of the documents that they have do not stand; whatever withdraws a study
enqueues it, or the next revision.
`shadow` has other models judge the film beside the one in service, in a process of their own; nothing follows from it.
`further` does so, too, for the report, which waits for it as for films that are still being analysed; it moves nothing.

Stages are named here and resolved only in the process that runs them, so that no other process imports what they need.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any, Literal

from cxr_node.domain.job import RetryPolicy
from cxr_node.stages.stage import Stage

Role = Literal["infer", "further", "shadow", "work"]

_PATIENT = RetryPolicy(base=1.0, ceiling=60.0, attempts=5000)  # a peer may be away, or a disk full, for days


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of job: its subject and target, who runs it, and what may follow.

    `batched`: several are run together where several wait. `blameless`: it only waits for a peer, so it is not what its
    process died of. `lease` in seconds.
    """

    kind: str
    keyed_by: str
    stage: str
    role: Role
    then: tuple[str, ...]
    retry: RetryPolicy = _PATIENT
    batched: bool = False
    blameless: bool = False
    lease: float = 300.0


_REPORTED = "study, revision/mode, and for one destination /class/destination"

PIPELINE = (
    Step(
        "analyse",
        "instance digest, model digest",
        "analyse:Analyse",
        "infer",
        then=("settle", "further", "shadow", "announce"),
        batched=True,
    ),
    Step("further", "instance digest, model digest", "further:Further", "further", then=("settle",), batched=True),
    Step("shadow", "instance digest, model digest", "shadow:Shadow", "shadow", then=(), batched=True),
    Step("compare", "instance digest", "compare:Compare", "infer", then=("settle",)),
    Step(
        "settle",
        "study",
        "settle:Settle",
        "work",
        then=("settle", "analyse", "further", "report", "heatmap", "companions", "announce", "reject"),
    ),
    Step("report", _REPORTED, "report:Report", "work", then=("deliver", "heatmap", "companions", "key_objects")),
    Step("heatmap", "study, revision/mode", "heatmap:Heatmap", "work", then=("deliver", "companions", "key_objects")),
    Step("companions", "study, revision/mode", "companions:Companions", "work", then=("deliver", "key_objects")),
    Step(
        "deliver",
        "document, destination",
        "deliver:Deliver",
        "work",
        then=("commit", "report", "key_objects"),
        blameless=True,
    ),
    Step("key_objects", "study, revision/mode/destination", "key_objects:KeyObjects", "work", then=("deliver",)),
    Step("reject", "study, destination", "reject:Reject", "work", then=("deliver", "reject")),
    Step(
        "commit",
        "document, destination",
        "commit:Commitment",
        "work",
        then=("commit", "deliver"),
        batched=True,
        blameless=True,
    ),
    Step("announce", "study, revision or tier/destination", "announce:Announce", "work", then=("transmit",)),
    Step("transmit", "control id, destination", "transmit:Transmit", "work", then=("transmit",), blameless=True),
    Step("confirm", "transaction, requester", "confirm:Confirm", "work", then=("confirm", "notify"), blameless=True),
    Step("notify", "transaction, requester", "notify:Notify", "work", then=(), blameless=True),
    Step("lookup", "study", "lookup:Lookup", "work", then=(), blameless=True),
    Step("crosscheck", "study", "crosscheck:Crosscheck", "work", then=("settle", "crosscheck"), blameless=True),
    Step("tell", "receiver", "tell:Tell", "work", then=("tell",), blameless=True),
    Step("inform", "hub", "inform:Inform", "work", then=("inform",), blameless=True),
)


def assemble(role: Role, values: Mapping[str, Any]) -> dict[str, tuple[Step, Stage]]:
    """The stages of a role by kind, each made from those of `values` that its fields name."""
    stages: dict[str, tuple[Step, Stage]] = {}
    for step in PIPELINE:
        if step.role == role:
            module, _, name = step.stage.partition(":")
            stage = getattr(import_module(f"cxr_node.stages.{module}"), name)
            stages[step.kind] = step, stage(**{field.name: values[field.name] for field in fields(stage)})
    return stages
