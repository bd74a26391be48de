"""Where weights and backups live in the cloud: private, versioned, encrypted buckets."""

from fullbore.storage.component import Storage, StorageResources

__all__ = ["Storage", "StorageResources"]
