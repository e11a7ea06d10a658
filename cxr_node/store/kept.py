"""Messages beside their English text: a second column has what they were made from, to say them in other languages."""

import json

from cxr_node.message import Message


def keep(text: str | None) -> str | None:
    """What stands beside a text that is a message; None beside any other."""
    return json.dumps(text.to_json(), ensure_ascii=False) if isinstance(text, Message) else None


def told(text: str | None, kept: str | None) -> str | None:
    """The text as it was given: a message again, where that stands beside it.

    A row of an earlier release has nothing there, and one that such a release has written to since has what belongs to
    another text: then it is the text alone.
    """
    message = Message.from_json(json.loads(kept)) if kept else None
    return message if message == text else text
