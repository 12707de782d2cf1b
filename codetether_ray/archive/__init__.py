"""The archive: runs in S3-compatible storage, verified; back again; a Parquet copy to query."""
