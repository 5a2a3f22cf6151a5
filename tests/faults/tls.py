"""Certificates of a test's own authority, and Postgres' TLS handshake in front of a proxy."""

import asyncio
import datetime
import ssl
import warnings
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SSL_REQUEST_BYTES = 8
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@dataclass
class Authority:
    """Signs certificates; `file` is what a client trusts."""

    folder: Path
    name: str

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name(self.name)
        public = x509.BasicConstraints(ca=True, path_length=None)
        certificate = _builder(self._subject, self._subject, self._key, NOW + 30 * DAY)
        signed = certificate.add_extension(public, critical=True).sign(self._key, hashes.SHA256())
        self.file = self.folder / f"{self.name}.pem"
        self.file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def certificate(self, host: str, *, ends: datetime.datetime = NOW + 30 * DAY) -> Path:
        """A certificate and its key, in one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        signed = (
            _builder(_name(host), self._subject, key, ends)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        file = self.folder / f"{self.name}-{host}-{ends:%Y%m%d}.pem"
        file.write_bytes(
            signed.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return file


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, ends: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(NOW, ends) - 2 * DAY)
        .not_valid_after(ends)
    )


class TlsFront:
    """Answers Postgres' request for TLS, or refuses it, and passes what follows to `upstream`."""

    def __init__(self, upstream: tuple[str, int], certificate: Path | None, *, old: bool = False):
        self._upstream = upstream
        self.spoken = 0  # connections on which a client went on to speak to Postgres
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
            if old:
                self._context.set_ciphers("DEFAULT@SECLEVEL=0")
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # it is: hence the test
                    self._context.minimum_version = ssl.TLSVersion.TLSv1_1
                    self._context.maximum_version = ssl.TLSVersion.TLSv1_1

    async def __aenter__(self) -> int:
        """The port it listens on."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readexactly(SSL_REQUEST_BYTES)
            writer.write(b"N" if self._context is None else b"S")
            await writer.drain()
            if self._context is not None:
                await writer.start_tls(self._context)
            first = await reader.read(65536)
            if not first:
                return
            self.spoken += 1
            back, forth = await asyncio.open_connection(*self._upstream)
            forth.write(first)
            await asyncio.wait(
                [
                    asyncio.ensure_future(_copy(reader, forth)),
                    asyncio.ensure_future(_copy(back, writer)),
                ]
            )
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
