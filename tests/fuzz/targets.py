"""Every target by name."""

from collections.abc import Mapping

from tests.fuzz.connections import Connections
from tests.fuzz.films import Headers, Intake
from tests.fuzz.frames import Frames
from tests.fuzz.parsers import Parsers
from tests.fuzz.services import Services
from tests.fuzz.settings import Settings
from tests.fuzz.target import Target
from tests.fuzz.whole import Whole

TARGETS: Mapping[str, type[Target]] = {
    each.name: each for each in (Settings, Parsers, Headers, Intake, Frames, Connections, Services, Whole)
}
