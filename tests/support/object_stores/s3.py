"""A small S3: objects, listings, uploads in parts; requests are signed (version 4), and the signatures checked."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import unquote
from uuid import uuid4
from xml.sax.saxutils import escape

from aiohttp import web

from tests.support.net import LOOPBACK
from tests.support.object_stores.base import MODIFIED_ISO, ObjectStore, Refused, content_of, etag, joined

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/([^,]+), ?SignedHeaders=([^,]+), ?Signature=(\w+)")


@dataclass
class S3(ObjectStore):
    scheme: ClassVar[str] = "s3"
    key: str = "AKIASEMPRE"
    secret: str = "s3-secret"

    def options(self, port: int | None = None) -> dict[str, Any]:
        return {
            "key": self.key,
            "secret": self.secret,
            "client_kwargs": {"endpoint_url": f"http://{LOOPBACK}:{port or self.port}", "region_name": "eu-west-1"},
        }

    def wrong_options(self) -> dict[str, Any]:
        return {**self.options(), "secret": "another"}

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        self._check(request, body)
        name, _, key = unquote(request.raw_path.partition("?")[0]).lstrip("/").partition("/")
        if not key:
            return self._bucket(request, name)
        bucket = self.bucket(name, "NoSuchBucket")
        if "uploadId" in request.query or "uploads" in request.query:
            return self._parts(request, bucket, name, key, body)
        if request.method == "PUT":
            bucket[key] = body
            return web.Response(headers={"ETag": etag(body)})
        if request.method == "DELETE":
            bucket.pop(key, None)
            return web.Response(status=204)
        if key not in bucket:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        return content_of(request, bucket[key], {}, request.headers.get("Range"))

    def refusal(self, refused: Refused, request: web.Request) -> web.Response:
        text = f"<Error><Code>{refused.code}</Code><Message>{refused.message}</Message></Error>"
        return _xml("" if request.method == "HEAD" else text, refused.status)

    def _check(self, request: web.Request, body: bytes) -> None:
        found = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if found is None:
            raise Refused(403, "AccessDenied", "Access Denied")
        key, scope, names, given = found.groups()
        if key != self.key:
            raise Refused(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist.")
        hashed = request.headers["x-amz-content-sha256"]
        if hashed != "UNSIGNED-PAYLOAD" and hashed != hashlib.sha256(body).hexdigest():
            raise Refused(400, "XAmzContentSHA256Mismatch")
        path, _, query = request.raw_path.partition("?")
        pairs = "&".join(sorted(pair if "=" in pair else f"{pair}=" for pair in query.split("&") if pair))
        headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in names.split(";"))
        canonical = "\n".join((request.method, path, pairs, headers, names, hashed))
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signed = f"AWS4-HMAC-SHA256\n{request.headers['x-amz-date']}\n{scope}\n{digest}"
        secret = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        if hmac.new(secret, signed.encode(), "sha256").hexdigest() != given:
            raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.")

    def _bucket(self, request: web.Request, name: str) -> web.Response:
        if request.method == "PUT":
            self.buckets.setdefault(name, {})
            return web.Response()
        bucket = self.bucket(name, "NoSuchBucket")
        query = request.query
        if request.method == "HEAD":
            return web.Response()
        if "location" in query:
            return _xml(f"<LocationConstraint {NAMESPACE}>eu-west-1</LocationConstraint>")
        assert query["list-type"] == "2", request.raw_path
        most, after = int(query.get("max-keys", 1000)), query.get("continuation-token", "")
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        keys, folders, more = self.listed(bucket, prefix, delimiter, after, most)
        shown = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{MODIFIED_ISO}</LastModified>"
            f"<ETag>{escape(etag(bucket[key]))}</ETag><Size>{len(bucket[key])}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in keys
        )
        shown += "".join(f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in folders)
        token = f"<NextContinuationToken>{escape(more)}</NextContinuationToken>" if more else ""
        return _xml(
            f"<ListBucketResult {NAMESPACE}><Name>{name}</Name><Prefix>{escape(prefix)}</Prefix>"
            f"<KeyCount>{len(keys) + len(folders)}</KeyCount><MaxKeys>{most}</MaxKeys>"
            f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{token}{shown}</ListBucketResult>"
        )

    def _parts(self, request: web.Request, bucket: dict[str, bytes], name: str, key: str, body: bytes) -> web.Response:
        place = f"<Bucket>{name}</Bucket><Key>{escape(key)}</Key>"
        if "uploads" in request.query:
            upload = uuid4().hex
            self.parts[upload] = {}
            return _xml(
                f"<InitiateMultipartUploadResult {NAMESPACE}>{place}<UploadId>{upload}</UploadId>"
                "</InitiateMultipartUploadResult>"
            )
        upload = request.query["uploadId"]
        if upload not in self.parts:
            raise Refused(404, "NoSuchUpload", "The specified upload does not exist.")
        if request.method == "PUT":
            self.parts[upload][request.query["partNumber"]] = body
            return web.Response(headers={"ETag": etag(body)})
        parts = self.parts.pop(upload)
        if request.method == "DELETE":
            return web.Response(status=204)
        bucket[key] = joined(parts, re.findall(r"<PartNumber>(\d+)</PartNumber>", body.decode()))
        return _xml(f"<CompleteMultipartUploadResult {NAMESPACE}>{place}</CompleteMultipartUploadResult>")


def _xml(text: str, status: int = 200) -> web.Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}' if text else ""
    return web.Response(status=status, text=body, content_type="application/xml")
