"""A small Azure Blob Storage: block blobs and listings; requests are signed with the account's key, and checked.

A key that ends with a slash is a folder as consoles make it: a blob without the slash, whose metadata says what it is.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import unquote
from xml.sax.saxutils import escape

from aiohttp import web

from tests.support.net import LOOPBACK
from tests.support.object_stores.base import MODIFIED, ObjectStore, Refused, content_of, etag, joined

_SIGNED = (
    "Content-Encoding", "Content-Language", "Content-Length", "Content-MD5", "Content-Type", "Date",
    "If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range",
)  # fmt: skip


@dataclass
class AzureBlobs(ObjectStore):
    scheme: ClassVar[str] = "az"
    account: str = "sempre"
    account_key: str = base64.b64encode(b"azure-secret").decode()

    def options(self, port: int | None = None) -> dict[str, Any]:
        return {"connection_string": self._connection(self.account_key, port or self.port)}

    def wrong_options(self) -> dict[str, Any]:
        return {"connection_string": self._connection(base64.b64encode(b"another").decode(), self.port)}

    def _connection(self, key: str, port: int) -> str:
        at = f"http://{LOOPBACK}:{port}/{self.account}"
        return f"DefaultEndpointsProtocol=http;AccountName={self.account};AccountKey={key};BlobEndpoint={at};"

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        self._check(request)
        path = unquote(request.raw_path.partition("?")[0]).removeprefix(f"/{self.account}/")
        name, _, key = path.partition("/")
        if request.query.get("restype") == "container":
            return self._container(request, name)
        bucket = self.bucket(name, "ContainerNotFound")
        if request.method == "PUT":
            return self._put(request, bucket, f"{name}/{key}", key, body)
        if f"{key}/" in bucket:
            return web.Response(headers={"x-ms-meta-hdi_isfolder": "true", "Last-Modified": MODIFIED, "ETag": "0"})
        if key not in bucket:
            raise Refused(404, "BlobNotFound", "The specified blob does not exist.")
        if request.method == "DELETE":
            del bucket[key]
            return web.Response(status=202)
        about = {"x-ms-blob-type": "BlockBlob", "x-ms-version": request.headers["x-ms-version"]}
        wanted = request.headers.get("x-ms-range") or request.headers.get("Range")
        return content_of(request, bucket[key], about, wanted)

    def refusal(self, refused: Refused, request: web.Request) -> web.Response:
        text = f"<Error><Code>{refused.code}</Code><Message>{refused.message}</Message></Error>"
        return _xml("" if request.method == "HEAD" else text, refused.status, {"x-ms-error-code": refused.code})

    def _check(self, request: web.Request) -> None:
        sent = request.headers
        found = re.fullmatch(rf"SharedKey {self.account}:(.+)", sent.get("Authorization", ""))
        if found is None:
            raise Refused(401, "NoAuthenticationInformation", "Server failed to authenticate the request.")
        values = [sent.get(name, "") for name in _SIGNED]
        values[2] = "" if values[2] == "0" else values[2]
        own = sorted((name.lower(), value) for name, value in sent.items() if name.lower().startswith("x-ms-"))
        lines = [request.method, *values, *(f"{name}:{value}" for name, value in own)]
        resource = f"/{self.account}{request.raw_path.partition('?')[0]}"
        resource += "".join(f"\n{name}:{value}" for name, value in sorted(request.query.items()))
        signed = "\n".join(lines) + "\n" + resource
        digest = hmac.digest(base64.b64decode(self.account_key), signed.encode(), "sha256")
        if base64.b64encode(digest).decode() != found[1]:
            raise Refused(403, "AuthenticationFailed", "Server failed to authenticate the request.")

    def _put(self, request: web.Request, bucket: dict[str, bytes], place: str, key: str, body: bytes) -> web.Response:
        kind = request.query.get("comp")
        if kind == "block":
            self.parts.setdefault(place, {})[request.query["blockid"]] = body
            return web.Response(status=201)
        if kind == "blocklist":
            order = re.findall(r"<(?:Latest|Uncommitted)>([^<]+)<", body.decode())
            body = joined(self.parts.pop(place, {}), order)
        bucket[key] = body
        return web.Response(status=201, headers={"ETag": etag(body), "Last-Modified": MODIFIED})

    def _container(self, request: web.Request, name: str) -> web.Response:
        query = request.query
        if request.method == "PUT":
            self.buckets.setdefault(name, {})
            return web.Response(status=201)
        bucket = self.bucket(name, "ContainerNotFound")
        if query.get("comp") != "list":
            return web.Response(headers={"ETag": etag(b""), "Last-Modified": MODIFIED})
        most, after = int(query.get("maxresults", 5000)), query.get("marker", "")
        keys, folders, more = self.listed(bucket, query.get("prefix", ""), query.get("delimiter", ""), after, most)
        shown = "".join(
            f"<Blob><Name>{escape(key.rstrip('/'))}</Name><Properties><Last-Modified>{MODIFIED}</Last-Modified>"
            f"<Etag>{escape(etag(bucket[key]))}</Etag><Content-Length>{len(bucket[key])}</Content-Length>"
            "<Content-Type>application/octet-stream</Content-Type><BlobType>BlockBlob</BlobType></Properties>"
            f"<Metadata>{'<hdi_isfolder>true</hdi_isfolder>' if key.endswith('/') else ''}</Metadata></Blob>"
            for key in keys
        )
        shown += "".join(f"<BlobPrefix><Name>{escape(each)}</Name></BlobPrefix>" for each in folders)
        return _xml(
            f'<EnumerationResults ServiceEndpoint="http://{request.host}/{self.account}/" ContainerName="{name}">'
            f"<Blobs>{shown}</Blobs><NextMarker>{escape(more or '')}</NextMarker></EnumerationResults>"
        )


def _xml(text: str, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = f'<?xml version="1.0" encoding="utf-8"?>{text}' if text else ""
    return web.Response(status=status, text=body, content_type="application/xml", headers=headers)
