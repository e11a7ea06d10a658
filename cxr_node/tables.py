"""What `--json` gives, for a terminal."""

from collections.abc import Sequence
from typing import Any

from cxr_node.domain.finding import tenths

Row = tuple[str, ...]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells in columns; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def worklist(entries: Sequence[dict[str, Any]]) -> str:
    if not entries:
        return "No study is waiting."
    rows: list[Row] = [
        ("#", "tier", "priority", "finding", "probability", "place", "state", "received", "accession", "study", "")
    ]
    rows += [
        (
            str(entry["position"]),
            entry["tier"],
            _priority(entry),
            entry["finding"] or "",
            "" if entry["probability"] is None else f"{tenths(entry['probability'])} %",
            "" if entry["state"] in ("read", "withdrawn") else entry["group"],
            entry["state"].replace("_", " ") + (f" ({entry['reader']})" if entry["reader"] else ""),
            _second(entry["received_at"]),
            entry["accession_number"] or "",
            entry["study_instance_uid"],
            entry["reason"] or "",
        )
        for entry in entries
    ]
    return aligned(rows)


def _priority(entry: dict[str, Any]) -> str:
    given, asked = entry["priority"] or "", entry["asked"]
    if asked is None:
        return given
    became = "not given" if asked["refused"] else "asked for"
    return f"{given} ({asked['priority'] or 'none'} {became})".strip()


def status(found: dict[str, Any]) -> str:
    reason = found["inference"]["reason"]
    lines = [
        *pair(found["pair"]),
        f"listening     {'yes' if found['listening'] else 'no: no node is running here, or its port is silent'}",
        f"inference     {found['inference']['state']}{f' ({reason})' if reason else ''}",
        f"model         {found['model']} on {found['device'] or 'an unknown device'}{_activated(found['activated'])}",
        *(
            f"further       {each['model']}{': judges nothing; ' + each['reason'] if each['reason'] else ''}"
            for each in found["further"]
        ),
        *(
            f"shadow        {each['model']}{': judges nothing; ' + each['reason'] if each['reason'] else ''}"
            for each in found["shadow"]
        ),
        f"web page      {_web(found['web'])}",
        *([f"messages      {_web(found['hl7'])}"] if found["hl7"]["state"] != "off" else []),
        f"mode          {found['mode']}{', worklist frozen' if found['frozen'] else ''}",
        f"dead letters  {found['dead_letters']}",
        f"quarantine    {found['quarantined']['objects']} objects, {found['quarantined']['films']} films",
        f"disk free     {(found['disk_free_bytes'] or 0) / 1e9:.1f} of {(found['disk_total_bytes'] or 0) / 1e9:.1f} GB",
        f"backup        {_backup(found['backup'])}",
    ]
    lines += [
        f"silent        {one['name']}: last film {_second(one['last_at'])}, {one['expected_films']:.0f} expected since"
        for one in found["machines"]
        if one["silent"]
    ]
    lines += [
        f"moved         {one['model']}, {one['machine']}: {one['measure']} (PSI {one['psi']:.2f}); cxr-node drift"
        for one in found["drift"]
        if one["verdict"].startswith("moved")
    ]
    if hub := found["hub"]:
        reached = _second(hub["reached_at"]) if hub["reached_at"] else "never"
        what = "study" if hub["behind"] == 1 else "studies"
        lines.append(f"hub           last reached {reached}; to be told of {hub['behind']} {what}")
    lines += [f"certificate   {one['file']} until {one['until'][:10]}" for one in found["certificates"]]
    if found["missing_files"]:
        lines.append(f"missing       {found['missing_files']} films have no file in the spool any more")
    lines += [f"audit         {each['unsent']} events not yet told to the {each['target']}" for each in found["audit"]]
    if found["queues"]:
        rows: list[Row] = [("queue", "ready", "running", "failed")]
        rows += [
            (kind, str(n["ready"]), str(n["running"]), str(n["failed"])) for kind, n in sorted(found["queues"].items())
        ]
        lines += ["", aligned(rows)]
    if found["destinations"]:
        rows = [("destination", "reachable", "pending", "behind", "uncommitted", "overdue", "SR class")]
        rows += [
            (
                d["name"],
                "yes" if d["reachable"] else "no",
                str(d["pending"]),
                _long(d["lag_seconds"]),
                *(str(d[key]) for key in ("uncommitted", "overdue")),
                _sr_class(d),
            )
            for d in found["destinations"]
        ]
        lines += ["", aligned(rows)]
    if found["sites"]:
        rows = [("site", "heard of", "", "open", "asked for")]
        rows += [
            (
                s["name"],
                _second(s["heard_at"]) if s["heard_at"] else "never",
                "silent" if s["silent"] else "",
                *(str(s[key]) for key in ("open", "asked")),
            )
            for s in found["sites"]
        ]
        lines += ["", aligned(rows)]
    if found["messages"]:
        rows = [("told by HL7", "reachable", "pending", "message")]
        rows += [
            (each["name"], "yes" if each["reachable"] else "no", str(each["pending"]), each["message"])
            for each in found["messages"]
        ]
        lines += ["", aligned(rows)]
    if found["last_studies"]:
        rows = [("last studies", "state", "tier", "received")]
        rows += [
            (s["study_instance_uid"], s["state"].replace("_", " "), s["tier"], _second(s["received_at"]))
            for s in found["last_studies"]
        ]
        lines += ["", aligned(rows)]
    if found["failed"]:
        rows = [("failed", "code", "study or subject", "")]
        rows += [(f["kind"], f["code"] or "", f["study"] or f["subject"], f["error"] or "") for f in found["failed"]]
        lines += ["", aligned(rows)]
    return "\n".join(lines)


def pair(found: dict[str, Any] | None) -> list[str]:
    """Of two nodes: a line with who works and who stands by; none where there is no pair."""
    if found is None:
        return []
    if found["works"] is None:
        return [f"pair          nobody has worked yet; this is {found['name']}"]
    since = f"since {_second(found['since'])} UTC, under term {found['term']}"
    other = f"{found['stands_by']} stands by" if found["stands_by"] else "NOBODY STANDS BY"
    return [f"pair          {found['works']} works {since}; {other}; this is {found['name']}"]


def _backup(found: dict[str, Any]) -> str:
    last = f"{_second(found['last_at'])} UTC, {found['bytes'] / 1e6:.1f} MB" if found["last_at"] else "none yet"
    return f"{last}; THE LAST ONE FAILED: {found['failed']}" if found["failed"] else last


def _long(seconds: float) -> str:
    """A duration at a glance."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _web(page: dict[str, str | None]) -> str:
    if page["state"] == "ready":
        return f"ready at {page['address']}"
    reason = page["reason"]
    return f"{page['state']}{f' ({reason})' if reason else ''}"


def _sr_class(destination: dict[str, Any]) -> str:
    """The class in which reports are written for it, and the one that it refused."""
    taken, wanted = destination["sr_class"], destination["sr_class_wanted"]
    return taken if taken == wanted else f"{taken} ({wanted} refused)"


def _activated(how: dict[str, str] | None) -> str:
    return f", activated by {how['by']} at {_second(how['at'])}" if how else ""


def study(found: dict[str, Any]) -> str:
    state = (found["state"] or "not in the worklist").replace("_", " ")
    lines = [f"study {found['study_instance_uid']}, revision {found['revision']}, {state}", ""]
    for one in found["instances"]:
        refusal = f": {one['refusal']['reason']}" if one["refusal"] else ""
        lines.append(f"image  {one['sop_instance_uid']}  {one['state']}{refusal}")
    for one in found["results"]:
        beside = "" if one["role"] == "service" else f" ({one['role']})"
        lines.append(f"result {one['model']} {one['version']}{beside}: {one['finding']} {tenths(one['probability'])} %")
        if flags := (one["quality"] or {}).get("flags"):
            lines.append(f"       gate: {', '.join(flag.replace('_', ' ') for flag in flags)}")
    for one in found["outputs"]:
        lines.append(f"output {one['kind']} revision {one['revision']} ({one['mode']})  {one['path']}")
    for one in found["deliveries"]:
        said = "".join(f" ({one[key]})" for key in ("warning", "error") if one[key])
        lines.append(f"sent   {one['kind']} to {one['destination']}: {one['state']}, {one['attempts']} attempts{said}")
    for one in found["messages"]:
        said = "".join(f" ({one[key]})" for key in ("error", "said") if one[key])
        attempts = f"{one['attempts']} attempts"
        lines.append(
            f"told   {one['message']} {one['about']} to {one['destination']}: {one['state']}, {attempts}{said}"
        )
    lines.append("")
    lines += [_event(event) for event in found["events"]]
    return "\n".join(lines)


def _event(event: dict[str, Any]) -> str:
    """Its time and name, and the code and reason where it has them."""
    return "  ".join(
        [event["time"], event["event"], *(str(event[key]) for key in ("code", "reason") if event.get(key))]
    )


def _second(time: str) -> str:
    return time[:19].replace("T", " ")


def drift(found: dict[str, Any]) -> str:
    lines = []
    for model in found["models"]:
        reference = model["reference"]
        since = (
            f"{reference['films']} films from {reference['since'][:10]}" if reference else "it has judged no film here"
        )
        lines += [f"{model['name']} {model['version']} ({model['role']}), compared with {since}", ""]
        rows: list[Row] = [("past 7 days", "films", "refused", "unusual", "positive", *_MEASURES.values())]
        for machine in model["machines"]:
            week = machine["past_7_days"]
            shares = (_share(week[key]) for key in ("refused", "unusual", "positive"))
            rows.append((machine["machine"], str(week["films"]), *shares, *map(_shift, _shifts(week))))
        if model["machines"]:
            lines += [aligned(rows), ""]
        for one in model["agreement"][:1]:
            lines += [
                f"against {one['studies']} final reports: sensitivity {_share(one['sensitivity'])}, "
                f"specificity {_share(one['specificity'])}",
                "",
            ]
    return "\n".join(lines).rstrip() or "no model has judged any film here"


_MEASURES = {
    "probability": "PSI output",
    "mean": "brightness",
    "deviation": "contrast",
    "refused": "refused",
    "unusual": "unusual",
}


def _shifts(week: dict[str, Any]) -> list[dict[str, Any]]:
    return [week["shifts"][name] for name in _MEASURES]


def _shift(shift: dict[str, Any]) -> str:
    marks = {"steady": "", "moved": " !", "moved_much": " !!"}
    return "too few" if shift["verdict"] == "too_few" else f"{shift['psi']:.2f}{marks[shift['verdict']]}"


def _share(rate: dict[str, Any]) -> str:
    if rate["share"] is None:
        return "-"
    return f"{100 * rate['share']:.1f} % ({100 * rate['low']:.0f} to {100 * rate['high']:.0f})"
