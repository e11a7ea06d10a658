"""An instance as it stands in the store: the facts of its header that decisions are made from.

An attribute that the film does not have, or has in a form that cannot be read, is None: unknown, not "no".
"""

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Self


class InstanceState(StrEnum):
    """What the node made of an instance that it acknowledged."""

    CURRENT = "current"  # the version that results and documents are made from
    COMPARING = "comparing"  # other bytes came under a SOP Instance UID that we hold; not yet compared
    SUPERSEDED = "superseded"  # a later version with a corrected identity took its place
    REPEATED = "repeated"  # the same film in another coding; kept, not used
    REJECTED = "rejected"  # it was rejected, or made for another patient; kept, not used
    QUARANTINED = "quarantined"  # other pixels under the same SOP Instance UID: a person decides


@dataclass(frozen=True, slots=True)
class Header:
    """The attributes of a film that eligibility, the worklist and comparison look at (PS3.3 C.7 and C.8).

    `descriptions` holds free texts that may tell the view, by the name of their attribute; `procedures` the codes of
    what was requested (0032,1064), as the X-ray machine was told it.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    modality: str | None = None
    image_type: tuple[str, ...] = ()
    presentation_intent: str | None = None
    body_part: str | None = None
    anatomic_region: str | None = None
    view_position: str | None = None
    view_code: str | None = None
    patient_orientation: tuple[str, ...] = ()
    laterality: str | None = None
    descriptions: dict[str, str] = field(default_factory=dict)
    species: str | None = None
    age_years: float | None = None
    rows: int | None = None
    columns: int | None = None
    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    accession_number: str | None = None
    requested_priority: str | None = None
    patient_name: str | None = None
    birth_date: str | None = None
    sex: str | None = None
    station_name: str | None = None
    manufacturer: str | None = None
    model_name: str | None = None
    study_date: str | None = None
    procedures: tuple[str, ...] = ()

    def machine(self, calling_ae_title: str) -> str:
        """What the X-ray machine is called: by its station, else by its make, else by who sent the film."""
        made = " ".join(part for part in (self.manufacturer, self.model_name) if part)
        name = self.station_name or made or calling_ae_title
        return "".join(letter for letter in name if letter.isprintable())[:64].strip() or calling_ae_title

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in (None, (), {})}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        known = {one.name for one in fields(cls)}
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in known}
        return cls(**values)
