"""OpenPGP signatures as repositories of apt have them, made with two fixed RSA keys of tests: no program is needed."""

from __future__ import annotations

import base64
import hashlib
import textwrap
from dataclasses import dataclass

_KEEPER_N = (
    "d9a0cd4dc13271cd5e9e3927a9edc23bb61e806b45e3e1e80f23c97b7bf913342d029e721a7815418c031eba2e9928e2"
    "c0182297dda91a103ebb0ac1f0f511213597732a1fc0ee456a9cac071c60e27097620b9f725984a96bd09e7a84af3884"
    "9ed3750ca3a0bc7cc9959368178d7913d02eb33cba0340ba528bb365f3bfa350edc32e51c642cb820635e09689879eb9"
    "a2cefd99591716ed1b7cba4bec3e8b049c7553679fad72bcb9e42a37b0217e5c9ab5b4c32f19b5a8205f50dafff88c08"
    "f253d69b45c8670bc49c71e50982112b07db451ecd15ac27ae6e11a69dee236f78406b43e9d1c9eab7dae383e2e07388"
    "019646f3d512fc892a7a1e15a336571b"
)
_KEEPER_D = (
    "565ce54c477074cfea8e00a1786265739bbcb3fa9e14266898657bc5f8b729c3495f623066c7a3abccdbca1c5974a750"
    "80a9b344b00eb4cca0904a5f1777b1520bf9eb965a5e8e4fd6d490c20ba57906f45450c77832051ed4adc7ce580c4ef1"
    "f633751e4c6af391d3cf7b5d52076ef6896596f470deec97643d933650ca0a8d4e2c7e703df56a3f9be15b8e02bc268c"
    "f9d302b3c9699fb6e9eaf59299d3d427b1a54eb946d3b18bda71c9a799d9f11c8906fab51cec91dd0b41841ef7d9e91b"
    "66c3145ed00993afd70cea7fd039778eab57b6ed3192b91102c7b96066b785e8cd230384809c4e096faca198e4e333c5"
    "69d95616c470cc2cc3db20cc343d02d9"
)
_STRANGER_N = (
    "9270aea34f59e7872799ae83eb923758d0709906c4c95158927bab521b71aeae601b2f8a145634d459ff333297d28073"
    "7f88fc0e6529bbfb62fcb8e97e951066663489018f1eae588821e100de65dfeff50c11cffbf75de2aaa27666b2339235"
    "83234ec4e2c051aad6df48d37e486d7a2d59e2e166fa33a37942b138f5c3e0ba4b4d9a2e30ebf235dbbf382d62ace79c"
    "70564a36739453595ce78a43cbc523328b8079bf4f7d28d33a069ba3a13ae16fbba4994b4a4db33a2c69898345ea568c"
    "5f6e92d355ade97d3c5459d2e2405c04b03d43fe1aa4d9523d8366f178ea6429af1ab353f8b31dda9fa79813fb8a5dec"
    "edc88ee6f8704dcad13c80cb04f1e92d"
)
_STRANGER_D = (
    "02948e8734970d741a864ca9802287bd673449cbce6b0bb135e32fb0d6ffc61ef4bad5e6785ca10bc44a6031116f23e0"
    "5f4c537ad6ba207bdf9d8130c8ca6f2850ee13f4d7aacaddbe36823eda439ea3a8fe91dbc775a96a56e7177bd065bff5"
    "5d846728af0ce1495362ed2cfd32c9c87fed9df14d71fbcf0a46720ff9a5b883ea75058f8353c6b9dedbd2a54a1745a8"
    "e909ad44dfd7faeb4c943093b1635aeb4d336f2489648babb221cf02b5c1938e986016d3fc676ad00dd946b35146f98d"
    "5f2fd6316963099bd78cafde514c3b54d71c1718202fa1a6c64bed6bb0c02b632f482c68fae209447a255de7a86dc524"
    "c75b6702d62a89d5a18a26b1907882f1"
)
_EXPONENT = 65537
CREATED = 1_500_000_000
_RSA, _SHA256 = 1, 8
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


@dataclass(frozen=True)
class Key:
    """A key that expires `lasts` seconds after it was made; 0 if it never does."""

    user: str
    modulus: str
    private: str
    lasts: int = 0

    @property
    def keyring(self) -> bytes:
        """The public key with its user and its own signature, as a file for `Signed-By`."""
        user = self.user.encode()
        marks = _subpacket(27, b"\x03") + (_subpacket(9, self.lasts.to_bytes(4, "big")) if self.lasts else b"")
        head = b"\x99" + len(self._public).to_bytes(2, "big") + self._public
        content = head + b"\xb4" + len(user).to_bytes(4, "big") + user
        certificate = self._signature(0x13, content, CREATED, marks)
        return _packet(6, self._public) + _packet(13, user) + certificate

    def sign(self, content: bytes, time: int = CREATED + 1) -> bytes:
        """A detached signature, as the file `Release.gpg`."""
        return _armor("SIGNATURE", self._signature(0x00, content, time)).encode()

    @property
    def armored(self) -> str:
        """The keyring as text."""
        return _armor("PUBLIC KEY BLOCK", self.keyring)

    @property
    def _public(self) -> bytes:
        numbers = _number(int(self.modulus, 16)) + _number(_EXPONENT)
        return b"\x04" + CREATED.to_bytes(4, "big") + bytes([_RSA]) + numbers

    def _signature(self, kind: int, content: bytes, time: int, marks: bytes = b"") -> bytes:
        head = b"\x99" + len(self._public).to_bytes(2, "big")
        fingerprint = hashlib.sha1(head + self._public).digest()
        hashed = _subpacket(2, time.to_bytes(4, "big")) + _subpacket(33, b"\x04" + fingerprint) + marks
        start = bytes([4, kind, _RSA, _SHA256]) + len(hashed).to_bytes(2, "big") + hashed
        digest = hashlib.sha256(content + start + b"\x04\xff" + len(start).to_bytes(4, "big")).digest()
        padded = _DIGEST_INFO + digest
        padded = b"\x00\x01" + b"\xff" * (256 - 3 - len(padded)) + b"\x00" + padded
        number = pow(int.from_bytes(padded, "big"), int(self.private, 16), int(self.modulus, 16))
        unhashed = _subpacket(16, fingerprint[-8:])
        return _packet(2, start + len(unhashed).to_bytes(2, "big") + unhashed + digest[:2] + _number(number))


def _armor(kind: str, data: bytes) -> str:
    lines = "\n".join(textwrap.wrap(base64.b64encode(data).decode(), 64))
    return f"-----BEGIN PGP {kind}-----\n\n{lines}\n-----END PGP {kind}-----\n"


def _packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4, "big") + body


def _subpacket(kind: int, body: bytes) -> bytes:
    return bytes([len(body) + 1, kind]) + body


def _number(value: int) -> bytes:
    return value.bit_length().to_bytes(2, "big") + value.to_bytes((value.bit_length() + 7) // 8, "big")


KEEPER = Key("keeper <keeper@example.org>", _KEEPER_N, _KEEPER_D)
STRANGER = Key("stranger <stranger@example.org>", _STRANGER_N, _STRANGER_D)
EXPIRED = Key("keeper <keeper@example.org>", _KEEPER_N, _KEEPER_D, lasts=1_000)
