"""Configuration files and overrides in the environment: understood, or refused with a sentence."""

from pathlib import Path
from random import Random

from cxr_node import config
from cxr_node.errors import ConfigError
from cxr_node.plan import Plan
from tests.fuzz.mutate import mutated
from tests.fuzz.target import Finding, Target

_FILE = Path(__file__).parents[2] / "config" / "cxr-node.toml"
_VALUES = (
    '""', "0", "-1", "1e400", "nan", "inf", "true", "[]", "{}", "[[]]", '"\\u0000"', '"/dev/null"', '"../../x"',
    '["a", 1]', "99999999999999999999999", "1979-05-27", '"' + "x" * 5000 + '"', "{ a = { b = { c = 1 } } }",
    "0x7fffffffffffffff",
    "'::1'", '["10.0.0.0/33"]', '"Europe/Nowhere"', '"Europe/../UTC"', "[0, 120, 5]",
    "{ high = 2.0 }", '"\\ud7ff"', "text",
)  # fmt: skip
_ENVIRONMENT = b"\0"  # what follows are overrides, line by line


class Settings(Target):
    """Reading a configuration, and making a plan of it."""

    name = "settings"

    def begin(self, folder: Path) -> None:
        self._file = folder / "cxr-node.toml"

    def make(self, chance: Random) -> bytes:
        lines = _FILE.read_text("utf-8").splitlines()
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(lines))
            key = lines[at].lstrip("#").partition("=")[0]
            lines[at] = chance.choice(
                (f"{key}= {chance.choice(_VALUES)}", lines[at].lstrip("#"), "", key, lines[at] * 2)
            )
        text = "\n".join(lines).encode()
        if chance.random() < 0.4:
            text = mutated(text, chance)
        overrides = [_override(chance, lines) for _ in range(chance.choice((0, 0, 1, 3)))]
        return text.replace(_ENVIRONMENT, b"") + _ENVIRONMENT + "\n".join(overrides).encode("utf-8", "replace")

    def run(self, data: bytes) -> str:
        text, _, overrides = data.partition(_ENVIRONMENT)
        self._file.write_bytes(text)
        pairs = (line.partition("=") for line in overrides.decode("utf-8", "replace").replace("\0", "").splitlines())
        environment = {name: value for name, _, value in pairs if name}
        try:
            read = config.load(self._file, environment)
        except ConfigError as error:
            if not error.message:
                raise Finding("a configuration is refused without a word") from error
            return "refused"
        if config.Config.model_validate_json(read.model_dump_json()) != read:
            raise Finding("a configuration does not survive its way to the children")
        try:
            plan = Plan.of(read)
            (
                plan.judging(),
                plan.rules(),
                plan.endpoint(),
                plan.peers(),
                plan.waiting(),
                plan.tastes(),
                plan.next_documents(),
            )
        except ConfigError:
            return "impossible"
        return "understood"


def _override(chance: Random, lines: list[str]) -> str:
    section = chance.choice(
        ("NODE", "RECEIVE", "STUDY", "ELIGIBILITY", "MODEL", "REPORT", "DESTINATION", "LOG", "NONE", "")
    )
    key = chance.choice(lines).lstrip("#").partition("=")[0].strip().upper().replace("=", "") or "AE_TITLE"
    return f"CXR_NODE__{section}__{key.splitlines()[0]}={chance.choice(_VALUES)}"
