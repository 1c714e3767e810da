"""What a signature is made by and checked with. FORMAT.md §4."""

from typing import Protocol


class Verifier(Protocol):
    """One public key (or what stands for one) that can check a signature over a manifest."""

    @property
    def name(self) -> str:
        """A short text for people: kind, size and fingerprint, and where the key came from."""
        ...

    @property
    def signature_size(self) -> int:
        """Length in bytes of a signature by this key in the artifact's form: the modulus for RSA, 64 for P-256."""
        ...

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return whether `signature` (decoded from base64, as in the artifact) covers `message`."""
        ...


class Signer(Protocol):
    """One private key, wherever it lives; `public` checks what it makes."""

    @property
    def public(self) -> Verifier:
        """The matching public key."""
        ...

    @property
    def signature_size(self) -> int:
        """Length of every signature in bytes; that of `public`."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature in the artifact's form (RSA: PKCS#1 v1.5; P-256: r and s, 32 bytes each).

        Raises:
            KeyUnusableError: the key or token cannot be used.
            MachineError: the signing program failed.
        """
        ...
