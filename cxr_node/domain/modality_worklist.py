"""The worklist as a Modality Worklist shows it (PS3.4 annex K): a view for systems that know nothing else.

It is no scheduling of acquisitions: the films are there. What counts in it is Requested Procedure Priority (0040,1003).
"""

from typing import Final

from cxr_node.domain.dicom_json import Attributes, element, items, sequence

_EMPTY: Final = {  # type 2 in table K.6-1
    "00080090": "PN", "00081110": "SQ", "00081120": "SQ", "00101030": "DS", "00102000": "LO", "00102110": "LO",
    "001021C0": "US", "00321032": "PN", "00380010": "LO", "00380050": "LO", "00380300": "LO", "00380500": "LO",
    "00401004": "LO", "00403001": "LO",
}  # fmt: skip
_SHOWN: Final = {"HIGH": "HIGH", "MEDIUM": "MEDIUM", "LOW": "ROUTINE"}
_TAKEN: Final = ("00100010", "00100020", "00100021", "00100030", "00100040", "0020000D")
_SCHEDULED: Final = "00400100"


def scheduled(workitem: Attributes, station: str) -> Attributes:
    """One entry from the attributes of a workitem; `station` is the AE title that the steps are scheduled for."""
    (request,) = items(workitem, "0040A370")
    start = "".join(workitem["00404005"].get("Value", [""]))
    label = workitem["00741204"]["Value"][0]
    number = "".join(workitem["00741202"].get("Value", [""])).partition(" ")[0]
    step = {
        "00080060": element("CS", "DX"),
        "00400001": element("AE", station),
        "00400002": element("DA", start[:8]),
        "00400003": element("TM", start[8:14]),
        "00400006": {"vr": "PN"},
        "00400007": element("LO", label),
        "00400009": element("SH", number),
        "00400010": {"vr": "SH"},
        "00400011": {"vr": "SH"},
        "00400012": {"vr": "LO"},
        "00321070": {"vr": "LO"},
    }
    empty = {tag: {"vr": vr} for tag, vr in _EMPTY.items()}
    return (
        empty
        | {tag: workitem[tag] for tag in _TAKEN}
        | {
            "00080050": request["00080050"],
            "00321060": element("LO", label),
            "00401001": element("SH", number),
            "00401003": element("SH", _SHOWN[workitem["00741200"]["Value"][0]]),
            _SCHEDULED: sequence(step),
        }
    )
