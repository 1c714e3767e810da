"""Kernels of a few instructions: they print which slot was started, and switch the machine off.

The real boot loaders take them for kernels of Linux, so that a boot script is tested as it is, in seconds.
"""

import struct

ARM64_MAGIC = b"ARM\x64"
ANYWHERE = 8  # flags: little endian, may lie anywhere in memory

PL011 = 0x0900  # upper half of its address on the machine `virt`
SYSTEM_OFF = 0x8400_0008  # PSCI


def arm64_kernel(text: str) -> bytes:
    """An `Image` that prints `text` and switches off."""
    words = [
        0x1400_0010,  # code0: branch over the header of 64 bytes
        0,
    ]
    code = [
        0x1000_0001 | (10 * 4 >> 2) << 5,  # adr x1, text
        0xD2A0_0002 | PL011 << 5,  # movz x2, #PL011, lsl 16
        0x3840_1423,  # ldrb w3, [x1], #1
        0x3400_0063,  # cbz w3, off
        0xB900_0043,  # str w3, [x2]
        0x17FF_FFFD,  # b ldrb
        0x5280_0000 | (SYSTEM_OFF & 0xFFFF) << 5,  # off: movz w0
        0x72A0_0000 | (SYSTEM_OFF >> 16) << 5,  # movk w0, lsl 16
        0xD400_0002,  # hvc #0
        0x1400_0000,  # b .
    ]
    body = struct.pack(f"<{len(code)}I", *code) + text.encode() + b"\0"
    header = struct.pack("<2IQQQ3Q4sI", *words, 0, 0x10000, ANYWHERE, 0, 0, 0, ARM64_MAGIC, 0)
    assert len(header) == 64
    return header + body


RISCV_OFFSET = 0x20_0000  # where in memory it has to be: OpenSBI is at its start
RISCV_MAGIC = b"RSC\x05"
RISCV_CODE = (
    0x0000_0417,  # auipc s0, 0
    0x02C4_0413,  # addi s0, s0, text
    0x0004_4503,  # next: lbu a0, 0(s0)
    0x0005_0A63,  # beqz a0, off
    0x0014_0413,  # addi s0, s0, 1
    0x0010_0893,  # li a7, 1: OpenSBI prints a character
    0x0000_0073,  # ecall
    0xFEDF_F06F,  # j next
    0x0080_0893,  # off: li a7, 8: OpenSBI switches off
    0x0000_0073,  # ecall
    0x0000_006F,  # j .
)


def riscv64_kernel(text: str) -> bytes:
    """An `Image` that prints `text` and switches off."""
    body = struct.pack(f"<{len(RISCV_CODE)}I", *RISCV_CODE) + text.encode() + b"\0"
    jump = 0x0400_006F  # over the header of 64 bytes
    header = struct.pack("<2I3Q2IQ8s4sI", jump, 0, RISCV_OFFSET, 0x10000, 0, 2, 0, 0, b"", RISCV_MAGIC, 0)
    assert len(header) == 64
    return header + body


SETUP_SECTORS = 1
"""Besides the boot sector; what follows is the kernel proper."""
COM1 = 0x3F8
CF9 = 0xCF9  # the chip set's reset register


def amd64_kernel(text: str) -> bytes:
    """A `bzImage` that prints `text`, and resets the machine: which ends QEMU, if it runs with -no-reboot."""
    code = bytes.fromhex(
        "fa"  # cli
        "e800000000"  # call $+5
        "5e"  # pop esi
        "83c61c"  # add esi, text - here
        "66baf803"  # mov dx, COM1
        "ac"  # next: lodsb
        "84c0"  # test al, al
        "7403"  # jz reset
        "ee"  # out dx, al
        "ebf8"  # jmp next
        "66baf90c"  # reset: mov dx, CF9
        "b006"  # mov al, 6
        "ee"  # out dx, al
        "f4"  # hlt
        "ebfd"  # jmp hlt
    )
    offset = code.index(b"\x83\xc6") + 2
    code = code[:offset] + bytes([len(code) - 6]) + code[offset + 1 :]
    setup = bytearray(512 * (1 + SETUP_SECTORS))
    body = code + text.encode() + b"\0"
    body = body.ljust(512, b"\0")
    struct.pack_into("<BHIHHHH", setup, 0x1F1, SETUP_SECTORS, 0, len(body) // 16, 0, 0, 0, 0xAA55)
    setup[0x200:0x202] = b"\xeb\x66"  # jump over the header
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, 0x020C)  # version of the protocol
    setup[0x211] = 1  # loaded high
    struct.pack_into("<I", setup, 0x214, 0x100000)  # where its 32 bit entry is
    struct.pack_into("<I", setup, 0x22C, 0x7FFFFFFF)  # highest place of an initrd
    struct.pack_into("<IB", setup, 0x230, 0x1000, 1)  # alignment; may be moved
    struct.pack_into("<I", setup, 0x238, 2047)  # longest command line
    struct.pack_into("<QI", setup, 0x258, 0x100000, 0x10000)  # preferred place, memory that it needs
    return bytes(setup) + body
