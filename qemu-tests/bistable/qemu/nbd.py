"""Speak NBD as a server does, to one client on a socket: the fixed newstyle handshake, and simple replies.

Described in the NBD protocol, https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md. All numbers are big
endian. What a client says is bounded before memory is spent on it.
"""

import errno
import socket
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from bistable.artifact.errors import RejectedError

MOST_BYTES: Final = 32 * 1024 * 1024
"""The longest read or write that a client may ask for; the protocol's own default."""

SECTOR: Final = 512
_MOST_OPTION: Final = 4096 + 64
_GREETING: Final = struct.pack(">8s8sH", b"NBDMAGIC", b"IHAVEOPT", 3)
"""3: fixed newstyle, and no padding after the size."""
_OPTION: Final = struct.Struct(">8sII")
_REQUEST: Final = struct.Struct(">IHHQQI")
_REQUEST_MAGIC: Final = 0x25609513
_REPLY_MAGIC: Final = 0x67446698
_OPTION_REPLY_MAGIC: Final = 0x3E889045565A9
_FEATURES: Final = 1 | 4 | 8
"""The flags are meant; flush and FUA are understood."""

_FUA: Final = 1
_ACK: Final = 1
_INFO: Final = 3
_UNSUPPORTED: Final = 0x80000001


class _Option(IntEnum):
    EXPORT_NAME = 1
    ABORT = 2
    INFO = 6
    GO = 7


class Command(IntEnum):
    """What a client asks for."""

    READ = 0
    WRITE = 1
    DISCONNECT = 2
    FLUSH = 3


class Disk(Protocol):
    """What is served."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read(self, start: int, length: int) -> bytes:
        """Return what is there."""

    def write(self, start: int, data: bytes, *, durable: bool) -> None:
        """Write; the client is told that it is done when the call returns."""

    def flush(self) -> None:
        """Make all that was written durable."""


class DroppedError(Exception):
    """The disk wants no more of the client: its power is gone."""


class _GoneError(Exception):
    """The client has closed its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    command: int
    durable: bool
    cookie: int
    start: int
    length: int


def serve(connection: socket.socket, disk: Disk) -> None:
    """Serve one client until it goes away, or until the disk drops it.

    Raises:
        RejectedError: what it says makes no sense.
    """
    try:
        if not _shake_hands(connection, disk.size):
            return
        while (request := _next(connection)).command != Command.DISCONNECT:
            data = _received(connection, request.length) if request.command == Command.WRITE else b""
            trouble, answer = _done(disk, request, data)
            connection.sendall(struct.pack(">IIQ", _REPLY_MAGIC, trouble, request.cookie) + answer)
    except (_GoneError, DroppedError, ConnectionError):
        return


def _done(disk: Disk, request: _Request, data: bytes) -> tuple[int, bytes]:
    """Do what was asked for; return an error number, or 0, and what was read."""
    if request.command != Command.FLUSH and not _fits(request, disk.size):
        return errno.EINVAL, b""
    match request.command:
        case Command.READ:
            return 0, disk.read(request.start, request.length)
        case Command.WRITE:
            disk.write(request.start, data, durable=request.durable)
        case Command.FLUSH:
            disk.flush()
        case _:
            return errno.EINVAL, b""
    return 0, b""


def _fits(request: _Request, size: int) -> bool:
    aligned = request.start % SECTOR == 0 and request.length % SECTOR == 0
    return aligned and request.length <= MOST_BYTES and request.start + request.length <= size


def _shake_hands(connection: socket.socket, size: int) -> bool:
    """Agree with the client on what is served; return whether it goes on."""
    connection.sendall(_GREETING)
    _received(connection, 4)
    while True:
        magic, option, length = _OPTION.unpack(_received(connection, _OPTION.size))
        if magic != b"IHAVEOPT" or length > _MOST_OPTION:
            raise RejectedError("cannot serve the NBD client: it does not speak the newstyle handshake")
        _received(connection, length)
        match option:
            case _Option.EXPORT_NAME:  # the old way to begin: no answer but the size
                connection.sendall(struct.pack(">QH", size, _FEATURES))
                return True
            case _Option.INFO | _Option.GO:
                _answer(connection, option, _INFO, struct.pack(">HQH", 0, size, _FEATURES))
                _answer(connection, option, _INFO, struct.pack(">HIII", 3, SECTOR, 4096, MOST_BYTES))
                _answer(connection, option, _ACK, b"")
                if option == _Option.GO:
                    return True
            case _Option.ABORT:
                _answer(connection, option, _ACK, b"")
                return False
            case _:
                _answer(connection, option, _UNSUPPORTED, b"")


def _answer(connection: socket.socket, option: int, kind: int, data: bytes) -> None:
    connection.sendall(struct.pack(">QIII", _OPTION_REPLY_MAGIC, option, kind, len(data)) + data)


def _next(connection: socket.socket) -> _Request:
    magic, flags, command, cookie, start, length = _REQUEST.unpack(_received(connection, _REQUEST.size))
    if magic != _REQUEST_MAGIC:
        raise RejectedError("cannot serve the NBD client: its request does not begin as one")
    if command == Command.WRITE and length > MOST_BYTES:
        raise RejectedError(f"cannot serve the NBD client: it writes {length} bytes at once, more than {MOST_BYTES}")
    return _Request(command=command, durable=bool(flags & _FUA), cookie=cookie, start=start, length=length)


def _received(connection: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        if not (part := connection.recv(min(length - len(parts), 1 << 20))):
            raise _GoneError
        parts += part
    return bytes(parts)
