"""Who made a bundle: keys in files, signatures (Ed25519, RFC 8032), and whom one trusts.

A private key is a PEM file (PKCS 8) that only its owner may read; beside it, with ``.pub``, lies
the line that others put into their file of trusted keys: ``ed25519 <64 hex digits> <a name>``.
Above: ``bundle_file``. Below: ``bundle``, and the package ``cryptography``, which is loaded when it
is needed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swarm_runtime.errors import ConfigError, RunFolderError
from swarm_runtime.memory.travel.bundle import Signature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = [
    "ALGORITHM",
    "SigningKey",
    "generate_key",
    "read_key",
    "read_trusted",
    "signers",
    "trusted_name",
]

ALGORITHM = "ed25519"
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
#: Larger than any key file or list of keys.
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key.

    Attributes
    ----------
    public : str
        The public key that belongs to it, in hex.
    """

    public: str
    _private: Ed25519PrivateKey

    def sign(self, message: bytes) -> list[Signature]:
        """Return a message's signature."""
        return [Signature(ALGORITHM, self.public, self._private.sign(message))]

    def __repr__(self) -> str:
        return f"SigningKey({self.public})"


def generate_key(path: str | Path, name: str = "") -> str:
    """Make a key: the private part in a file of mode 0600, the public part beside it.

    Parameters
    ----------
    path : str or Path
        Of the private part; the public one's is ``<path>.pub``. Neither may be there.
    name : str
        Goes into the public line, for people.

    Returns
    -------
    str
        The public line.

    Raises
    ------
    RunFolderError
        If a file can't be written, or is there already.
    """
    _need_cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if len(name.split("\n")) > 1 or not name.isprintable():
        raise ConfigError("name", name, "one line of text")
    private = Ed25519PrivateKey.generate()
    text = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    line = f"{ALGORITHM} {private.public_key().public_bytes_raw().hex()} {name}".rstrip()
    beside = Path(f"{path}.pub")
    if beside.exists():
        raise RunFolderError(str(beside), "is there already; name another file")
    _write_new(Path(path), text, 0o600)
    _write_new(beside, f"{line}\n".encode(), 0o644)
    return line


def read_key(path: str | Path) -> SigningKey:
    """Return the private key in a file.

    Raises
    ------
    RunFolderError
        If the file can't be read, holds no such key, or others may read it.
    """
    _need_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    text = _read(Path(path))
    if os.name == "posix" and stat.S_IMODE(Path(path).stat().st_mode) & 0o077:
        raise RunFolderError(str(path), "others may read this key; chmod 600 it, or make a new one")
    try:
        private = serialization.load_pem_private_key(text, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise RunFolderError(str(path), "is no private key in PEM without a password") from problem
    if not isinstance(private, Ed25519PrivateKey):
        raise RunFolderError(str(path), f"is no key for {ALGORITHM}")
    return SigningKey(private.public_key().public_bytes_raw().hex(), private)


def read_trusted(path: str | Path) -> dict[str, str]:
    """Return the public keys in a file, with their names.

    One a line, as in a ``.pub`` file; empty lines and those that begin with # don't count.

    Raises
    ------
    RunFolderError
        If the file can't be read, or a line is of another form.
    """
    try:
        lines = _read(Path(path)).decode().splitlines()
    except UnicodeDecodeError as problem:
        raise RunFolderError(str(path), "is no text") from problem
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.split(maxsplit=2)
        if not words or words[0].startswith("#"):
            continue
        key = words[1].lower() if len(words) > 1 else ""
        if words[0] != ALGORITHM or not _is_hex(key, _KEY_BYTES):
            raise RunFolderError(
                str(path), f"line {number}: `{ALGORITHM} <64 hex digits> <name>` is needed"
            )
        found[key] = words[2] if len(words) > 2 else ""
    return found


def signers(message: bytes, signatures: Sequence[Signature]) -> tuple[str, ...]:
    """Return the public keys by which a message was signed.

    Signatures by algorithms that are not known here don't count, neither for nor against.

    Raises
    ------
    ValueError
        If a signature is wrong.
    """
    known = [one for one in signatures if one.algorithm == ALGORITHM]
    if not known:
        return ()
    _need_cryptography()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    for one in known:
        if not _is_hex(one.key, _KEY_BYTES) or len(one.signature) != _SIGNATURE_BYTES:
            raise ValueError(f"the signature by {one.key[:64]!r} is of another form")
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(one.key)).verify(
                one.signature, message
            )
        except (InvalidSignature, ValueError) as problem:
            raise ValueError(f"the signature by {one.key} is wrong") from problem
    return tuple(dict.fromkeys(one.key.lower() for one in known))


def trusted_name(keys: Sequence[str], trusted: Mapping[str, str]) -> str | None:
    """Return the name of the first key that is trusted; None if none is."""
    return next((trusted[key] or key for key in keys if key in trusted), None)


def _is_hex(text: str, length: int) -> bool:
    return len(text) == 2 * length and all(digit in "0123456789abcdefABCDEF" for digit in text)


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as problem:
        raise ConfigError(
            "signing", ALGORITHM, "needs a package that is not here: pip install cryptography"
        ) from problem


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise RunFolderError(str(path), f"can't be read: {reason}") from problem
    if len(data) > _MOST_BYTES:
        raise RunFolderError(str(path), "is too large to be a file of keys")
    return data


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as problem:
        raise RunFolderError(str(path), "is there already; name another file") from problem
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise RunFolderError(str(path), f"can't be written: {reason}") from problem
