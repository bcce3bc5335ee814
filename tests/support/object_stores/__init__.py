"""Stand-ins of object stores on loopback. They speak the HTTP protocols that the real libraries speak to real ones."""

from tests.support.object_stores.azure import AzureBlobs
from tests.support.object_stores.base import ObjectStore
from tests.support.object_stores.gcs import GoogleStorage
from tests.support.object_stores.s3 import S3

__all__ = ["S3", "AzureBlobs", "GoogleStorage", "ObjectStore"]
