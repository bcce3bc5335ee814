"""A small Google Cloud Storage: its JSON API, and the token endpoint that service accounts sign in at."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any, ClassVar
from urllib.parse import unquote
from uuid import uuid4

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.support.net import LOOPBACK
from tests.support.object_stores.base import MODIFIED_ISO, ObjectStore, Refused, content_of, etag, joined

_PKCS8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class GoogleStorage(ObjectStore):
    scheme: ClassVar[str] = "gs"
    account: str = "sempre@project.iam.gserviceaccount.com"
    private_key: rsa.RSAPrivateKey = field(default_factory=_new_key, repr=False)
    tokens: set[str] = field(default_factory=set)
    """The access tokens that were given out."""

    def options(self, port: int | None = None) -> dict[str, Any]:
        return self._options(self.private_key, port or self.port)

    def wrong_options(self) -> dict[str, Any]:
        return self._options(_new_key(), self.port)

    def _options(self, key: rsa.RSAPrivateKey, port: int) -> dict[str, Any]:
        at = f"http://{LOOPBACK}:{port}"
        info = {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "1",
            "private_key": key.private_bytes(*_PKCS8).decode(),
            "client_email": self.account,
            "token_uri": f"{at}/token",
        }
        return {"token": info, "project": "project", "endpoint_url": at}

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        if path == "/token":
            return self._sign_in((await request.post()).get("assertion", ""))
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise Refused(401, "authError", "Anonymous caller does not have access to the Google Cloud Storage bucket.")
        kind, _, rest = path.partition("/storage/v1/b/")
        name, below, key = rest.partition("/o")
        bucket = self.bucket(unquote(name), "notFound")
        if kind == "/upload":
            return self._upload(request, bucket, body)
        if below:
            return self._object(request, bucket, unquote(key.removeprefix("/")))
        return web.json_response({"kind": "storage#bucket", "name": name, "location": "EU", "storageClass": "STANDARD"})

    def refusal(self, refused: Refused, request: web.Request) -> web.Response:
        if request.path == "/token":
            told = {"error": refused.code, "error_description": refused.message}
            return web.json_response(told, status=refused.status)
        error = {"code": refused.status, "message": refused.message, "errors": [{"reason": refused.code}]}
        return web.json_response({"error": error}, status=refused.status)

    def _sign_in(self, assertion: Any) -> web.Response:
        signed, _, signature = str(assertion).rpartition(".")
        try:
            self.private_key.public_key().verify(
                _decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            raise Refused(400, "invalid_grant", "Invalid JWT Signature.") from None
        assert json.loads(_decoded(signed.partition(".")[2]))["iss"] == self.account
        token = uuid4().hex
        self.tokens.add(token)
        return web.json_response({"access_token": token, "expires_in": 3600, "token_type": "Bearer"})

    def _object(self, request: web.Request, bucket: dict[str, bytes], key: str) -> web.Response:
        query = request.query
        if not key:
            most, after = int(query.get("maxResults", 1000)), query.get("pageToken", "")
            keys, folders, more = self.listed(bucket, query.get("prefix", ""), query.get("delimiter", ""), after, most)
            shown = [_shown(key, bucket[key]) for key in keys]
            found: dict[str, Any] = {"kind": "storage#objects", "items": shown, "prefixes": folders}
            return web.json_response({**found, "nextPageToken": more} if more else found)
        if key not in bucket:
            raise Refused(404, "notFound", f"No such object: {key}")
        if request.method == "DELETE":
            del bucket[key]
            return web.Response(status=204)
        if query.get("alt") == "media":
            return content_of(request, bucket[key], _hashes(bucket[key]), request.headers.get("Range"))
        return web.json_response(_shown(key, bucket[key]))

    def _upload(self, request: web.Request, bucket: dict[str, bytes], body: bytes) -> web.Response:
        upload = request.query.get("upload_id")
        if upload is not None:
            return self._chunk(request, bucket, upload, body)
        if request.query["uploadType"] == "resumable":
            upload = uuid4().hex
            self.parts[upload] = {"name": json.loads(body)["name"].encode()}
            at = f"http://{request.host}{request.path}?uploadType=resumable&upload_id={upload}"
            return web.Response(headers={"Location": at})
        boundary = request.headers["Content-Type"].partition("boundary=")[2].strip('"')
        _, about, rest = body.split(f"--{boundary}\n".encode(), 2)
        key = json.loads(about.partition(b"\n\n")[2])["name"]
        content = rest.partition(b"\n\n")[2]
        bucket[key] = content.removesuffix(f"\n--{boundary}--".encode())
        return web.json_response(_shown(key, bucket[key]))

    def _chunk(self, request: web.Request, bucket: dict[str, bytes], upload: str, body: bytes) -> web.Response:
        if upload not in self.parts:
            raise Refused(404, "notFound", "There is no such upload.")
        if request.method == "DELETE":
            del self.parts[upload]
            return web.Response(status=499)
        span, _, size = request.headers["Content-Range"].removeprefix("bytes ").partition("/")
        self.parts[upload][span.partition("-")[0]] = body
        last = int(span.partition("-")[2])
        if str(last + 1) != size:
            return web.Response(status=308, headers={"Range": f"bytes=0-{last}"})
        parts = self.parts.pop(upload)
        key = parts.pop("name").decode()
        bucket[key] = joined(parts, sorted(parts, key=int))
        return web.json_response(_shown(key, bucket[key]))


def _shown(key: str, content: bytes) -> dict[str, Any]:
    digest = base64.b64encode(md5(content, usedforsecurity=False).digest()).decode()
    return {
        "kind": "storage#object", "name": key, "bucket": "bucket", "size": str(len(content)), "md5Hash": digest,
        "etag": etag(content), "updated": MODIFIED_ISO, "timeCreated": MODIFIED_ISO, "generation": "1",
    }  # fmt: skip


def _hashes(content: bytes) -> dict[str, str]:
    return {"X-Goog-Hash": f"md5={base64.b64encode(md5(content, usedforsecurity=False).digest()).decode()}"}


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
