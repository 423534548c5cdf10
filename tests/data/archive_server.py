"""A loopback server that speaks like the archives: S3 (ListObjectsV2, GET with Range) and Zenodo's record API.

It can also misbehave as archives and networks do; ``tests/data/test_public_idc.py`` shows that the real S3 client of
``idc-index`` (s5cmd) takes it for an archive.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

HTML = b"<!DOCTYPE html><html><body>Please log in</body></html>"


@dataclass
class Archive:
    """What the server holds (``/bucket/key`` → content) and how it behaves.

    Args:
        ranges: whether it can begin in the middle.
        cut: path → so many bytes are sent of one answer, then the connection ends; each answer, as often as listed.
        status: path → answered with this code.
        pages: path → answered with this web page and code 200.
        altered: path → sent in place of what ``files`` says.
        page_size: objects per page of a listing.
        etags: path → in place of the MD5.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    cut: dict[str, list[int]] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    pages: dict[str, bytes] = field(default_factory=dict)
    altered: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    page_size: int = 3
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    def ranges_asked(self, path: str) -> list[str | None]:
        return [wanted for one, wanted in self.asked if one == path]

    def etag(self, path: str) -> str:
        return self.etags.get(path, hashlib.md5(self.files[path]).hexdigest())

    def listing(self, bucket: str, query: dict[str, str]) -> bytes:
        keys = sorted(path.removeprefix(f"/{bucket}/") for path in self.files if path.startswith(f"/{bucket}/"))
        keys = [key for key in keys if key.startswith(query.get("prefix", ""))]
        start = int(query.get("continuation-token", 0))
        page, more = keys[start : start + self.page_size], start + self.page_size < len(keys)
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{self.etag(f'/{bucket}/{key}')}&quot;</ETag><Size>{len(self.files[f'/{bucket}/{key}'])}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{start + self.page_size}</NextContinuationToken>" if more else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{bucket}</Name><KeyCount>{len(page)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{entries}</ListBucketResult>"
        ).encode()

    def record(self, identifier: str, license: str = "cc-by-nc-4.0") -> bytes:
        """Zenodo's answer: its files are those under ``/records/<identifier>/``."""
        prefix = f"/records/{identifier}/"
        files = [
            {
                "key": path.removeprefix(prefix),
                "size": len(content),
                "checksum": f"md5:{self.etag(path)}",
                "links": {"self": f"{self.url}{quote(path)}"},
            }
            for path, content in self.files.items()
            if path.startswith(prefix)
        ]
        doi = f"10.5281/zenodo.{identifier}"
        return json.dumps({"doi": doi, "metadata": {"license": {"id": license}}, "files": files}).encode()


@contextmanager
def serving(archive: Archive) -> Iterator[Archive]:
    """The archive on a port of this machine, as ``archive.url``."""

    class Handler(_Handler):
        holds = archive

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    archive.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    holds: Archive
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), {key: value[0] for key, value in parse_qs(parts.query).items()}
        self.holds.asked.append((path, self.headers.get("Range")))
        if path in self.holds.status:
            self._send(self.holds.status[path], b"<Error/>", "application/xml")
        elif path in self.holds.pages:
            self._send(200, self.holds.pages[path], "text/html; charset=utf-8")
        elif path.startswith("/api/records/"):
            self._send(200, self.holds.record(path.rpartition("/")[2]), "application/json")
        elif "list-type" in query or "prefix" in query:
            self._send(200, self.holds.listing(path.strip("/"), query), "application/xml")
        elif path in self.holds.files:
            self._send_file(path)
        else:
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")

    def do_HEAD(self) -> None:
        path = unquote(urlsplit(self.path).path)
        bucket = any(one.startswith(f"{path.rstrip('/')}/") for one in self.holds.files)  # s5cmd asks for its region
        self.send_response(200 if bucket or path in self.holds.files else 404)
        self.send_header("X-Amz-Bucket-Region", "us-east-1")
        self.send_header("Content-Length", str(len(self.holds.files.get(path, b""))))
        self.end_headers()

    def _send_file(self, path: str) -> None:
        content = self.holds.altered.get(path, self.holds.files[path])
        wanted = self.headers.get("Range")
        headers = {"ETag": f'"{self.holds.etag(path)}"'}
        if wanted and self.holds.ranges:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            stop = min(int(last) + 1 if last else len(content), len(content))
            if int(first) >= len(content) and content:
                self._send(416, b"", "application/xml")
                return
            headers["Content-Range"] = f"bytes {first}-{stop - 1}/{len(content)}"
            self._send(206, content[int(first) : stop], "application/octet-stream", headers, path)
        else:
            self._send(200, content, "application/octet-stream", headers, path)

    def _send(
        self, code: int, content: bytes, kind: str, headers: dict[str, str] | None = None, path: str = ""
    ) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        cuts = self.holds.cut.get(path)
        if cuts:
            self.wfile.write(content[: cuts.pop(0)])
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(2)
        else:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
