"""Certificates, keys and tokens of a sandbox: made on first start, kept in its state folder, readable by the owner only.

They are real in form (TLS, OAuth 2 service-account flow of RFC 7523) and worthless outside of this sandbox.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from google.auth import exceptions, jwt

from tasks.lab.api_errors import ApiError, Problem
from tasks.lab.files import write_private
from tasks.lab.sandbox import API_USER

TOKEN_SECONDS = 3600
# google-auth signs for this audience whatever the token_uri of the file is.
AUDIENCE = "https://oauth2.googleapis.com/token"
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Credentials:
    """What the sandbox made for its one user.

    Args:
        state_dir: where the files lie; missing ones are made.
    """

    def __init__(self, state_dir: Path) -> None:
        self.ca_file = state_dir / "ca.pem"
        self.key_file = state_dir / "server.key"
        self.account_file = state_dir / "service_account_credentials.json"
        self.config_file = state_dir / "google-ads.yaml"
        self.admin_token_file = state_dir / "admin.token"
        self._secrets_file = state_dir / "server_credentials.json"
        if not self._secrets_file.exists():
            self._make()
        kept = json.loads(self._secrets_file.read_text(encoding="utf-8"))
        self.token_key = bytes.fromhex(kept["token_key"])
        self.developer_token: str = kept["developer_token"]
        self._public_key: str = kept["public_key"]
        self.admin_token = self.admin_token_file.read_text(encoding="utf-8")

    def _make(self) -> None:
        _make_certificate(self.key_file, self.ca_file)
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        write_private(self.account_file, json.dumps({"private_key": _private_pem(private)}))
        write_private(self.admin_token_file, secrets.token_urlsafe(24))
        public = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        kept = {
            "token_key": secrets.token_hex(32),
            "developer_token": secrets.token_urlsafe(16)[:22],
            "public_key": public.decode(),
        }
        write_private(self._secrets_file, json.dumps(kept))

    def write_client_files(self, token_uri: str, login_customer_id: str) -> None:
        """Write what the official client loads: a ``google-ads.yaml`` and the service-account file that it names."""
        private_key = json.loads(self.account_file.read_text(encoding="utf-8"))["private_key"]
        account = {
            "type": "service_account",
            "project_id": "aelp2-sandbox",
            "private_key_id": hashlib.sha256(self._public_key.encode()).hexdigest()[:40],
            "private_key": private_key,
            "client_email": API_USER,
            "client_id": "0",
            "token_uri": token_uri,
        }
        write_private(self.account_file, json.dumps(account, indent=1))
        config = {
            "developer_token": self.developer_token,
            "login_customer_id": login_customer_id,
            "json_key_file_path": str(self.account_file.resolve()),
            "use_proto_plus": True,
        }
        write_private(self.config_file, yaml.safe_dump(config))

    def exchange(self, form: Mapping[str, str]) -> dict[str, object]:
        """An OAuth token response for a service account's signed assertion.

        Raises:
            PermissionError: another grant, or an assertion that is not signed by this sandbox's key.
        """
        if form.get("grant_type") != JWT_GRANT:
            raise PermissionError(f"unsupported_grant_type: give {JWT_GRANT}")
        try:
            claims = jwt.decode(form.get("assertion", ""), certs=self._public_key, audience=AUDIENCE)
        except (ValueError, exceptions.GoogleAuthError) as error:
            raise PermissionError(f"invalid_grant: {error}") from error
        if claims.get("iss") != API_USER:
            raise PermissionError("invalid_grant: unknown service account")
        return {"access_token": self.issue(), "expires_in": TOKEN_SECONDS, "token_type": "Bearer"}

    def issue(self) -> str:
        """A bearer token that is good for an hour, also after a restart: it is signed, not remembered."""
        body = base64.urlsafe_b64encode(json.dumps({"exp": int(time.time()) + TOKEN_SECONDS}).encode()).decode().rstrip("=")
        return f"ya29.{body}.{self._sign(body)}"

    def _sign(self, body: str) -> str:
        return hmac.new(self.token_key, body.encode(), hashlib.sha256).hexdigest()

    def check_call(self, metadata: Mapping[str, Any]) -> None:
        """Bearer token and developer token of a call.

        Raises:
            ApiError: the ``AuthenticationError`` or ``RequestError`` that the API gives.
        """

        def refuse(code: str, message: str) -> ApiError:
            return ApiError("UNAUTHENTICATED", [Problem("authentication_error", code, message)])

        scheme, _, token = str(metadata.get("authorization", "")).partition(" ")
        prefix, _, rest = token.partition(".")
        body, _, signature = rest.partition(".")
        if scheme != "Bearer" or prefix != "ya29" or not hmac.compare_digest(signature, self._sign(body)):
            raise refuse("OAUTH_TOKEN_INVALID", "Request had invalid authentication credentials. Expected OAuth 2 access token.")
        if json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["exp"] < time.time():
            raise refuse("OAUTH_TOKEN_EXPIRED", "The OAuth token has expired.")
        developer_token = metadata.get("developer-token")
        if not developer_token:
            problem = Problem("request_error", "DEVELOPER_TOKEN_PARAMETER_MISSING", "The developer-token header is missing.")
            raise ApiError("INVALID_ARGUMENT", [problem])
        if not hmac.compare_digest(str(developer_token), self.developer_token):
            raise refuse("DEVELOPER_TOKEN_INVALID", "The developer token is not valid.")


def _private_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def _make_certificate(key_file: Path, ca_file: Path) -> None:
    """A self-signed certificate for localhost. Its dates are the machine's: TLS compares them with the real clock."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    write_private(key_file, _private_pem(key))
    write_private(ca_file, certificate.public_bytes(serialization.Encoding.PEM).decode())
