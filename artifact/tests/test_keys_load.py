"""Public keys: which files are taken, and what is said about the others."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from bistable.artifact.errors import KeyUnusableError
from bistable.artifact.keys import load_signer, load_verifier, load_verifiers, read_verifiers
from bistable.artifact.keys.public import make_verifier
from bistable.artifact.keys.signature import split_numbers

KEYS = Path(__file__).parent / "vectors" / "keys"
PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
MESSAGE = b"0" * 64 + b"  version\n"


def pem(name: str) -> bytes:
    return (KEYS / name).read_bytes()


def refusal(data: bytes, origin: str = "some.pub") -> KeyUnusableError:
    with pytest.raises(KeyUnusableError) as caught:
        load_verifiers(data, origin=origin)
    return caught.value


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("rsa2048.pub", "RSA-2048 9107694979426338 (release.pub)"),
        ("rsa3072.pub", "RSA-3072 48ad35312932167d (release.pub)"),
        ("ec256.pub", "P-256 7827ffff38cea058 (release.pub)"),
    ],
)
def test_a_key_is_named_by_kind_fingerprint_and_origin(file: str, name: str) -> None:
    assert load_verifier(pem(file), origin="release.pub").name == name


@pytest.mark.parametrize(("file", "size"), [("rsa2048.pub", 256), ("rsa3072.pub", 384), ("ec256.pub", 64)])
def test_a_key_knows_the_size_of_its_signatures(file: str, size: int) -> None:
    assert load_verifier(pem(file), origin="k").signature_size == size


def test_an_rsa_key_in_pkcs1_form_is_the_same_key() -> None:
    key = load_pem_public_key(pem("rsa2048.pub"))
    pkcs1 = key.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    assert b"RSA PUBLIC KEY" in pkcs1
    assert load_verifier(pkcs1, origin="k").name == load_verifier(pem("rsa2048.pub"), origin="k").name


def test_text_around_the_block_and_windows_line_ends_do_not_matter() -> None:
    data = b"the release key\n\n" + pem("ec256.pub").replace(b"\n", b"\r\n") + b"\nend\n"
    assert load_verifier(data, origin="k").name.startswith("P-256")


def test_curve_parameters_before_a_public_key_do_not_matter() -> None:
    assert load_verifier(PARAMETERS + pem("ec256.pub"), origin="k").name.startswith("P-256")


def test_a_file_may_hold_several_keys() -> None:
    names = [v.name for v in load_verifiers(pem("ec256.pub") + pem("rsa2048.pub"), origin="k")]
    assert [name.split()[0] for name in names] == ["P-256", "RSA-2048"]


def test_one_key_means_one_key() -> None:
    with pytest.raises(KeyUnusableError, match="it holds 2 public keys, and one is needed"):
        load_verifier(pem("ec256.pub") + pem("rsa2048.pub"), origin="k")


def test_a_directory_gives_its_keys_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b.pem").write_bytes(pem("rsa2048.pub"))
    (tmp_path / "a.pub").write_bytes(pem("ec256.pub"))
    (tmp_path / "README").write_text("not a key")
    (tmp_path / "more.pem").mkdir()
    assert [v.name.split()[0] for v in read_verifiers(tmp_path)] == ["P-256", "RSA-2048"]


def test_a_bad_key_in_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.pub").write_bytes(pem("ec256.pub"))
    (tmp_path / "b.pub").write_bytes(b"")
    with pytest.raises(KeyUnusableError, match=r"b\.pub: it is empty"):
        read_verifiers(tmp_path)


def test_a_directory_without_keys_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusableError, match=r"no \*\.pem and no \*\.pub file"):
        read_verifiers(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusableError, match=r"cannot read .*gone\.pub: no such file"):
        read_verifiers(tmp_path / "gone.pub")


def test_a_huge_file_is_not_read_as_a_key(tmp_path: Path) -> None:
    path = tmp_path / "rootfs.ext4"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(KeyUnusableError, match="larger than 1 MiB"):
        read_verifiers(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (b" \n\n", "it is empty"),
        (b"\x30\x59\x30\x13", "it is binary (DER)"),
        (b"ssh-rsa AAAAB3Nza user@host", "it is an OpenSSH public key"),
        (b"hello", "it is not PEM"),
        (pem("ec256.pub")[:-20], "its PEM block is cut off or damaged"),
        (PARAMETERS, "it holds the parameters of a curve and no key"),
        (pem("ec256.pub").replace(b"MFkw", b"MFkx"), "its public key is damaged or of an unknown kind"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "CERTIFICATE REQUEST"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "it is a certificate"),
        (pem("ec384.pub"), "it is a key of the kind EC-secp384r1; artifacts are signed with"),
        (pem("ed25519.pub"), "it is a key of the kind Ed25519; artifacts are signed with"),
    ],
    ids=str,
)
def test_what_is_no_usable_public_key_is_called_by_its_name(data: bytes, words: str) -> None:
    assert words in refusal(data).what


@pytest.mark.parametrize("file", ["ec256.key", "rsa2048.key", "rsa2048.pkcs1.key", "ed25519.key"])
def test_a_private_key_cannot_verify_and_the_hint_makes_it_public(file: str) -> None:
    error = refusal(pem(file), "release.key")
    assert error.what == "cannot verify with release.key: it is a private key"
    assert error.hint == "write its public half with `bistable artifact keys public release.key`"


def test_a_private_key_behind_curve_parameters_is_seen_too() -> None:
    assert "it is a private key" in refusal(PARAMETERS + pem("ec256.key")).what


def test_short_rsa_keys_are_refused() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    with pytest.raises(
        KeyUnusableError, match="kind RSA-1024; artifacts are signed with RSA keys of 2048 to 16384 bits"
    ):
        make_verifier(key, origin="k")


def test_dsa_keys_are_refused() -> None:
    # The numbers need not be prime for this; making real ones takes a second.
    numbers = dsa.DSAPublicNumbers(
        y=4, parameter_numbers=dsa.DSAParameterNumbers(p=(1 << 2047) | 1, q=(1 << 255) | 1, g=2)
    )
    with pytest.raises(KeyUnusableError, match="DSA-2048"):
        make_verifier(numbers.public_key(), origin="k")


@pytest.mark.parametrize("file", ["ec256", "rsa2048", "rsa3072"])
def test_a_wrong_signature_is_false_and_never_an_exception(file: str) -> None:
    verifier = load_verifier(pem(f"{file}.pub"), origin="k")
    good = load_signer(pem(f"{file}.key"), origin="k").sign(MESSAGE)
    flipped = bytes([*good[:-1], good[-1] ^ 1])
    for bad in (
        b"",
        b"\x00",
        flipped,
        good[:-1],
        good + b"\x00",
        b"\x00" + good,
        bytes(len(good)),
        b"\xff" * len(good),
    ):
        assert verifier.verify(MESSAGE, bad) is False
    assert verifier.verify(MESSAGE + b" ", good) is False
    assert verifier.verify(MESSAGE, good) is True


def test_the_signature_of_another_key_is_false() -> None:
    signature = load_signer(pem("rsa2048.key"), origin="k").sign(MESSAGE)
    for file in ("rsa3072.pub", "ec256.pub"):
        assert load_verifier(pem(file), origin="k").verify(MESSAGE, signature) is False


def test_an_ec_signature_in_der_verifies_whatever_its_length() -> None:
    signer = load_signer(pem("ec256.key"), origin="k")
    lengths: set[int] = set()
    for number in range(10_000):  # one in 130 is shorter than 70 bytes
        message = MESSAGE + str(number).encode()
        numbers = split_numbers(signer.sign(message))
        assert numbers is not None
        der = encode_dss_signature(*numbers)
        lengths.add(len(der))
        assert signer.public.verify(message, der)
        if {69, 70, 71, 72} <= lengths:
            return
    pytest.fail(f"only lengths {lengths} came up")


def test_a_key_does_not_show_itself_in_its_repr() -> None:
    assert "PRIVATE" not in repr(load_signer(pem("ec256.key"), origin="k"))
    assert "object at" not in repr(load_signer(pem("ec256.key"), origin="k"))
