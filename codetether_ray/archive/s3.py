"""The object store that speaks S3: AWS, R2, MinIO.

boto3 (1.36 and later) adds checksums of its own that R2 and some MinIO refuse, so it is told not
to, and each upload names its SHA-256 itself. An ETag is never taken for a hash: that of a
multipart upload is none. What is damaged on the way counts as unreachable: it may go better later.
"""

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from codetether_ray.archive.store import AlreadyThereError, Stored
from codetether_ray.core.errors import ArchiveError, ArchiveUnreachableError

T = TypeVar("T")
_CHUNK = 1 << 20
_SHA256 = "sha256"  # our own metadata: what the uploader said it sends
_PASSING = frozenset(
    {
        "BadDigest",
        "ConditionalRequestConflict",
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    }
)
_AT_ONCE = 8


class _MissingError(ArchiveError):
    """There is no such object."""


class _NotKnownError(ArchiveError):
    """The store does not know such a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Place:
    """Which bucket, and how to get in. Without keys boto3 looks where it always does."""

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    timeout_s: float = 30.0

    def __str__(self) -> str:
        where = f" at {self.endpoint}" if self.endpoint else ""
        return f"s3://{self.bucket}/{self.prefix}{where}"


class S3Store:
    """The `ObjectStore` in a bucket. Nothing is asked, and boto3 not imported, before it is used.

    It tries each call once: who calls it knows how long it may wait.
    """

    def __init__(self, place: S3Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def place(self) -> str:
        """Bucket, prefix and endpoint."""
        return str(self._place)

    def put(self, name: str, source: Path | bytes, sha256: str, *, replace: bool = False) -> bool:
        """Store an object with its checksum; `If-None-Match: *` unless it may be replaced."""
        more: dict[str, Any] = {} if replace else {"IfNoneMatch": "*"}
        encoded = base64.b64encode(bytes.fromhex(sha256)).decode()

        def send(client: Any, body: Any) -> Any:
            return client.put_object(
                Bucket=self._place.bucket,
                Key=self._key(name),
                Body=body,
                ChecksumSHA256=encoded,
                Metadata={_SHA256: sha256},
                **more,
            )

        if isinstance(source, bytes):
            answer = self._ask(lambda client: send(client, source))
        else:
            with source.open("rb") as body:
                answer = self._ask(lambda client: send(client, body))
        return bool(answer.get("ChecksumSHA256") == encoded)

    def read(self, name: str, sink: Callable[[bytes], object]) -> str | None:
        """Stream an object."""

        def fetch(client: Any) -> str:
            answer = client.get_object(Bucket=self._place.bucket, Key=self._key(name))
            digest, length = hashlib.sha256(), 0
            with answer["Body"] as body:
                while chunk := body.read(_CHUNK):
                    digest.update(chunk)
                    length += len(chunk)
                    sink(chunk)
            if length != answer["ContentLength"]:
                raise ArchiveUnreachableError(self.place, "an answer was cut off")
            return digest.hexdigest()

        return self._ask_or_none(fetch)

    def promised(self, name: str) -> str | None:
        """Ask for an object's metadata."""

        def head(client: Any) -> str | None:
            answer = client.head_object(Bucket=self._place.bucket, Key=self._key(name))
            found: str | None = answer["Metadata"].get(_SHA256)
            return found

        return self._ask_or_none(head)

    def stored(self, below: str) -> Iterator[Stored]:
        """Page by page."""
        key, cut = self._key(below), len(self._place.prefix)
        token: dict[str, str] = {}
        while True:
            answer = self._page("list_objects_v2", key, token)
            for item in answer.get("Contents", ()):
                yield Stored(name=item["Key"][cut:], size=item["Size"])
            if not answer.get("IsTruncated"):
                return
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    def delete(self, names: list[str]) -> None:
        """One request each: the request for many needs a checksum that some stores refuse."""
        self._delete([(self._key(name), None) for name in names])

    def wipe(self, below: str) -> int:
        """All versions and delete markers; where there are no versions, the objects."""
        try:
            found = self._versions(self._key(below))
        except _NotKnownError:  # R2 knows no versions
            found = []
        found += [(self._key(stored.name), None) for stored in self.stored(below)]
        self._delete(found)
        return len({key for key, _ in found})

    def _versions(self, key: str) -> list[tuple[str, str | None]]:
        out: list[tuple[str, str | None]] = []
        token: dict[str, str] = {}
        while True:
            answer = self._page("list_object_versions", key, token)
            both = (*answer.get("Versions", ()), *answer.get("DeleteMarkers", ()))
            out += [(item["Key"], item["VersionId"]) for item in both]
            if not answer.get("IsTruncated"):
                return out
            token = {
                "KeyMarker": answer["NextKeyMarker"],
                "VersionIdMarker": answer.get("NextVersionIdMarker", ""),
            }

    def _page(self, operation: str, key: str, token: dict[str, str]) -> dict[str, Any]:
        def ask(client: Any) -> dict[str, Any]:
            answer: dict[str, Any] = getattr(client, operation)(
                Bucket=self._place.bucket, Prefix=key, **token
            )
            return answer

        return self._ask(ask)

    def _delete(self, keys: list[tuple[str, str | None]]) -> None:
        def one(item: tuple[str, str | None]) -> None:
            key, version = item
            more = {"VersionId": version} if version else {}
            self._ask_or_none(
                lambda client: client.delete_object(Bucket=self._place.bucket, Key=key, **more)
            )

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(one, keys))

    def _key(self, name: str) -> str:
        return f"{self._place.prefix}{name}"

    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = _make_client(self._place)
            return self._made

    def _ask_or_none(self, question: Callable[[Any], T]) -> T | None:
        """Ask; None where there is no such object."""
        try:
            return self._ask(question)
        except _MissingError:
            return None

    def _ask(self, question: Callable[[Any], T]) -> T:
        """Ask once."""
        from botocore.exceptions import (  # noqa: PLC0415
            BotoCoreError,
            ClientError,
            InvalidRegionError,
            NoCredentialsError,
            ParamValidationError,
        )
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - comes with boto3

        try:
            return question(self._client())
        except ClientError as error:
            raise self._refusal(error) from None
        except NoCredentialsError:
            raise ArchiveError(
                f"there are no keys for {self.place}; store them with `codetether auth set s3 "
                "--access-key ID`, or set CODETETHER_S3_ACCESS_KEY and _SECRET_KEY"
            ) from None
        except (InvalidRegionError, ParamValidationError) as error:
            raise ArchiveError(
                f"the archive {self.place} is set wrongly: {_reason(error)}; look at "
                "`codetether config list`"
            ) from None
        except (BotoCoreError, HTTPError, OSError) as error:
            raise ArchiveUnreachableError(self.place, _reason(error)) from None

    def _refusal(self, error: Any) -> ArchiveError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        message = str(error.response.get("Error", {}).get("Message", "")) or code
        if status == 412 or code == "PreconditionFailed":
            return AlreadyThereError("there is an object of that name")
        if code in ("NoSuchKey", "404", "NotFound"):
            return _MissingError("there is no such object")
        if (status >= 500 and status != 501) or status == 429 or code in _PASSING:
            return ArchiveUnreachableError(self.place, f"it answered {status} ({message})")
        if code == "NoSuchBucket":
            return ArchiveError(f"there is no bucket {self._place.bucket}; make it first")
        if status in (405, 501) or code == "NotImplemented":
            return _NotKnownError(f"the archive {self.place} cannot do that: {message}")
        if code == "RequestTimeTooSkewed":
            return ArchiveError(
                f"the archive {self.place} refuses this machine's clock ({message}); set it right"
            )
        if status in (401, 403):
            what = getattr(error, "operation_name", "the request")
            return ArchiveError(
                f"the archive {self.place} refused the keys for {what} ({message}); check them and "
                "the bucket's policy"
            )
        return ArchiveError(f"the archive {self.place} answered {status}: {message}")


def _make_client(place: S3Place) -> Any:
    import boto3  # noqa: PLC0415 - a third of a second that only an archive costs
    from botocore.config import Config  # noqa: PLC0415

    more: dict[str, Any] = {}
    if place.access_key:
        more = {
            "aws_access_key_id": place.access_key,
            "aws_secret_access_key": place.secret_key,
        }
    return boto3.session.Session(region_name=place.region, **more).client(
        "s3",
        endpoint_url=place.endpoint,
        config=Config(
            connect_timeout=min(place.timeout_s, 5.0),
            read_timeout=place.timeout_s,
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if place.endpoint else "auto"},
            max_pool_connections=_AT_ONCE + 2,
        ),
    )


def _reason(error: Exception) -> str:
    """The error's own words, without what a request was signed with."""
    words = " ".join(str(error).split()).partition("AWS4-HMAC-SHA256")[0]
    return words[:300] or type(error).__name__
