"""What is measured: our commands and the peers', on the same input."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import Case

HASHED_DECOMPRESSION = """
import hashlib, sys
name = sys.argv[1]
if name.endswith(".zst"):
    import zstandard
    def blocks(file):
        decoder = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        stream = decoder.stream_reader(file, read_size=1 << 18, read_across_frames=True)
        return iter(lambda: stream.read(1 << 19), b"")
elif name.endswith(".gz"):
    from isal import igzip
    def blocks(file):
        return iter(lambda stream=igzip.IGzipFile(fileobj=file): stream.read(1 << 19), b"")
elif name.endswith(".xz"):
    import lzma
    def blocks(file):
        return iter(lambda stream=lzma.LZMAFile(file): stream.read(1 << 19), b"")
else:
    def blocks(file):
        return iter(lambda: file.read(1 << 19), b"")
digest = hashlib.sha256()
with open(name, "rb", buffering=0) as file:
    for block in blocks(file):
        digest.update(block)
print(digest.hexdigest())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the benchmark works: the input image, a scratch folder, and our command."""

    image: Path
    work: Path
    bistable: str
    runs: int

    def out(self, name: str) -> Path:
        """Return a scratch file."""
        return self.work / name

    def ours(self, *words: str | Path) -> list[str]:
        """Return a command of ours."""
        return [self.bistable, "artifact", *map(str, words)]


def shell(text: str) -> list[str]:
    """Return a command for a shell that stops at the first failure."""
    return ["bash", "-euo", "pipefail", "-c", text]


def have(program: str) -> str | None:
    """Return what is missing, or None."""
    return None if shutil.which(program) else f"{program} is not installed"


def write_cases(place: Place) -> list[Case]:
    """Writing an artifact, beside compressing and hashing alone, and beside mender-artifact."""
    image = str(place.image)
    cases = [
        Case(
            name="zstd -3 + openssl sha256",
            command=shell(f"zstd -q -3 -T1 -f -o {place.out('z1')} {image}; openssl dgst -sha256 {image}"),
            output=place.out("z1"),
            runs=place.runs,
        ),
        Case(
            name="zstd -3 -T2",
            command=["zstd", "-q", "-3", "-T2", "-f", "-o", str(place.out("z2")), image],
            output=place.out("z2"),
            runs=place.runs,
        ),
        Case(
            name="cp + openssl sha256",
            command=shell(f"cp {image} {place.out('cp')}; openssl dgst -sha256 {image}"),
            output=place.out("cp"),
            runs=place.runs,
        ),
    ]
    for codec in ("zstd", "none", "gzip"):
        cases.append(ours_write(place, codec, place.runs))
        if codec != "zstd":
            cases.append(mender_write(place, codec, place.runs))
    return cases


def slow_write_cases(place: Place) -> list[Case]:
    """Writing with xz, once: minutes each."""
    return [ours_write(place, "xz", 1), ours_write(place, "xz", 1, extra=":threads=1")]


def slow_peer_cases(place: Place) -> list[Case]:
    """mender-artifact's xz, once: ten minutes."""
    return [mender_write(place, "lzma", 1)]


def ours_write(place: Place, codec: str, runs: int, extra: str = "") -> Case:
    """Write with ours."""
    name = place.out(f"ours-{codec}{extra.replace(':', '-')}.mender")
    command = place.ours(
        "write",
        "rootfs",
        "-f",
        place.image,
        "-n",
        "release-1",
        "-t",
        "bench",
        "-o",
        name,
        "--compression",
        codec + extra,
        "--no-progress",
    )
    return Case(name=f"bistable write {codec}{extra}", command=command, output=name, runs=runs)


def mender_write(place: Place, codec: str, runs: int) -> Case:
    """Write with mender-artifact."""
    name = place.out(f"mender-{codec}.mender")
    command = [
        "mender-artifact",
        "write",
        "rootfs-image",
        "-f",
        str(place.image),
        "-n",
        "release-1",
        "-t",
        "bench",
        "-o",
        str(name),
        "--compression",
        codec,
        "--no-progress",
    ]
    return Case(
        name=f"mender-artifact write {codec}", command=command, output=name, runs=runs, needs=have("mender-artifact")
    )


def verify_cases(place: Place) -> list[Case]:
    """Verifying, beside decompressing and hashing alone with the same libraries. Uses what the write cases left."""
    cases = []
    for codec, suffix in (("none", ""), ("gzip", ".gz"), ("zstd", ".zst"), ("xz", ".xz")):
        artifact = place.out(f"ours-{codec}.mender")
        if not artifact.exists():
            continue
        payload = place.out(f"payload{suffix or '.tar'}")
        data = subprocess.run(
            ["tar", "-xOf", artifact, f"data/0000.tar{suffix}"], stdout=payload.open("wb"), check=True
        )
        assert data.returncode == 0
        cases.append(
            Case(
                name=f"decompress + hash {codec}",
                command=[sys.executable, "-c", HASHED_DECOMPRESSION, str(payload)],
                runs=place.runs,
            )
        )
        cases.append(
            Case(
                name=f"bistable verify {codec}",
                command=place.ours("verify", artifact, "--no-progress"),
                runs=place.runs,
            )
        )
        if codec != "zstd":
            cases.append(
                Case(
                    name=f"mender-artifact validate {codec}",
                    command=["mender-artifact", "validate", str(artifact)],
                    runs=place.runs,
                    needs=have("mender-artifact"),
                )
            )
    return cases


def change_cases(place: Place) -> list[Case]:
    """Changing the name and signing: the payload must not be read."""
    key = place.out("bench.key")
    if not key.exists():
        subprocess.run(
            place.ours("keys", "generate", "-o", key, "--public", place.out("bench.pub")),
            check=True,
            capture_output=True,
        )
    cases = []
    for codec in ("zstd", "none"):
        artifact, target = place.out(f"ours-{codec}.mender"), place.out(f"changed-{codec}.mender")
        cases.append(
            Case(
                name=f"bistable modify -n {codec}",
                command=place.ours("modify", artifact, "-n", "release-2", "-o", target),
                output=target,
                runs=place.runs,
            )
        )
        cases.append(
            Case(
                name=f"bistable sign {codec}",
                command=place.ours("sign", artifact, "-k", key, "-o", target),
                output=target,
                runs=place.runs,
            )
        )
        cases.append(
            Case(name=f"cp {codec}", command=["cp", str(artifact), str(target)], output=target, runs=place.runs)
        )
    theirs = place.out("theirs-gzip.mender")
    if have("mender-artifact") is None:
        shutil.copy(place.out("mender-gzip.mender"), theirs)
        # Without this directory in the image, mender-artifact changes nothing at all.
        subprocess.run(place.ours("mkdir", f"{theirs}:/etc/mender"), check=True, capture_output=True)
        cases.append(
            Case(
                name="mender-artifact sign gzip",
                command=["mender-artifact", "sign", str(theirs), "-k", str(key), "-o", str(place.out("theirs-signed"))],
                runs=place.runs,
            )
        )
        cases.append(
            Case(
                name="mender-artifact modify -n gzip",
                command=["mender-artifact", "modify", str(theirs), "-n", "release-2"],
                runs=min(2, place.runs),
            )
        )
    return cases


def small_cases(place: Place) -> list[Case]:
    """Start-up: showing an artifact of a few kilobytes, and reading 300 files."""
    folder = place.out("many")
    folder.mkdir(exist_ok=True)
    names: list[str] = []
    for number in range(300):
        file = folder / f"file-{number:03}"
        file.write_bytes(bytes([number % 251]) * (1000 + number))
        names += ["-f", str(file)]
    small, many = place.out("small.mender"), place.out("many.mender")
    subprocess.run(
        place.ours(
            "write", "module", "-T", "files", "-f", folder / "file-001", "-n", "small", "-t", "bench", "-o", small
        ),
        check=True,
        capture_output=True,
    )
    subprocess.run(
        place.ours("write", "module", "-T", "files", *names, "-n", "many", "-t", "bench", "-o", many),
        check=True,
        capture_output=True,
    )
    return [
        Case(name="bistable show (small)", command=place.ours("show", small), runs=4 * place.runs),
        Case(name="bistable verify (300 files)", command=place.ours("verify", many), runs=place.runs),
        Case(name="python -c pass", command=[sys.executable, "-c", "pass"], runs=place.runs),
    ]


def memory_cases(place: Place) -> list[Case]:
    """10 GiB of zeros and of random data: memory must not grow with the input."""
    zeros, noise = place.out("zeros.img"), place.out("noise.img")
    size = 10 << 30
    with zeros.open("wb") as file:
        file.truncate(size)
    if not noise.exists() or noise.stat().st_size != size:
        subprocess.run(["head", "-c", str(size), "/dev/urandom"], stdout=noise.open("wb"), check=True)
    cases = []
    for name, source in (("zeros", zeros), ("random", noise)):
        target = place.out(f"big-{name}.mender")
        cases.append(
            Case(
                name=f"bistable write zstd, 10 GiB of {name}",
                command=place.ours(
                    "write", "rootfs", "-f", source, "-n", "big", "-t", "bench", "-o", target, "--no-progress"
                ),
                output=target,
                runs=1,
            )
        )
    return cases


def memory_verify_cases(place: Place) -> list[Case]:
    """Reading what the memory cases wrote."""
    return [
        Case(
            name=f"bistable verify, 10 GiB of {name}",
            command=place.ours("verify", place.out(f"big-{name}.mender"), "--no-progress"),
            runs=1,
        )
        for name in ("zeros", "random")
    ]


def peer_cases(place: Place) -> list[Case]:
    """RAUC and SWUpdate's generator on the same image, once: a minute or two each."""
    return [*_rauc(place), *_swu(place)]


def _rauc(place: Place) -> Sequence[Case]:
    if have("rauc") or have("mksquashfs"):
        return [Case(name="rauc bundle", command=["true"], needs=have("rauc") or have("mksquashfs"))]
    folder = place.out("rauc")
    folder.mkdir(exist_ok=True)
    link = folder / "rootfs.ext4"
    if not link.exists():
        link.hardlink_to(place.image)
    (folder / "manifest.raucm").write_text(
        "[update]\ncompatible=bench\nversion=1\n\n[bundle]\nformat=plain\n\n[image.rootfs]\nfilename=rootfs.ext4\n"
    )
    key, cert = place.out("rauc.key"), place.out("rauc.crt")
    if not key.exists():
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:3072",
                "-nodes",
                "-keyout",
                key,
                "-out",
                cert,
                "-subj",
                "/CN=bench",
                "-days",
                "3650",
            ],
            check=True,
            capture_output=True,
        )
    out = place.out("bench.raucb")
    return [
        Case(
            name=f"rauc bundle ({comp})",
            command=[
                "rauc",
                "bundle",
                f"--mksquashfs-args=-comp {comp} -quiet -no-progress",
                f"--cert={cert}",
                f"--key={key}",
                str(folder),
                str(out),
            ],
            output=out,
            runs=1,
        )
        for comp in ("zstd", "gzip")
    ]


def _swu(place: Place) -> Sequence[Case]:
    program = shutil.which("swugenerator", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        return [
            Case(
                name="swugenerator", command=["true"], needs="swugenerator is not installed (pip install swugenerator)"
            )
        ]
    cases = []
    for codec in ("zstd", "zlib"):
        description = place.out(f"sw-description-{codec}")
        image = {"filename": place.image.name, "type": "raw", "device": "/dev/null", "compressed": codec}
        description.write_text(
            f"software = {_libconfig({'version': '1', 'hardware-compatibility': ['1.0'], 'images': [image]})};\n"
        )
        out = place.out(f"bench-{codec}.swu")
        cases.append(
            Case(
                name=f"swugenerator create ({codec})",
                command=[program, "-s", str(description), "-a", str(place.image.parent), "-o", str(out), "create"],
                output=out,
                runs=1,
            )
        )
    return cases


def _libconfig(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + " ".join(f"{key} = {_libconfig(item)};" for key, item in value.items()) + " }"
    if isinstance(value, list):
        groups = all(isinstance(item, dict) for item in value)
        inside = ", ".join(_libconfig(item) for item in value)
        return f"( {inside} )" if groups else f"[ {inside} ]"
    return json.dumps(value)
