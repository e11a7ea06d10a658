"""Certificates for the tests, made with openssl when they are wanted: none stands in the repository.

authority = Authority(tmp_path, "hospital")
node = authority.issue("node")               # for localhost and 127.0.0.1
old = authority.issue("old", days=-1)        # expired yesterday
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_KEYS = {"ec": ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"), "rsa": ("rsa:2048",), "weak": ("rsa:1024",)}
HERE = "DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, as files in PEM."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority with files in `folder`; `pem` is its own certificate."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder / name
        self._folder.mkdir(parents=True)
        self.pem, self._key = self._folder / "ca.pem", self._folder / "ca.key"
        _openssl("req", "-x509", "-nodes", "-days", "30", "-subj", f"/CN={name}", "-newkey", *_KEYS["ec"],
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                 "-keyout", self._key, "-out", self.pem)  # fmt: skip

    def issue(self, name: str, *, days: int = 365, names: str = HERE, key: str = "ec") -> Pair:
        """A certificate for `names` that is valid for `days` from now on, or was until as long ago."""
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\n")
        _openssl("req", "-nodes", "-subj", f"/CN={name}", "-newkey", *_KEYS[key], "-keyout", pair.key, "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey", self._key, "-CAcreateserial",
                 "-days", str(days), "-extfile", extensions, "-out", pair.certificate)  # fmt: skip
        pair.key.chmod(0o600)
        return pair


def encrypted(pair: Pair) -> Path:
    """The private key under a password."""
    path = pair.key.with_suffix(".encrypted")
    _openssl("pkey", "-in", pair.key, "-aes256", "-passout", "pass:secret", "-out", path)
    return path


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
