"""What runs leave on disk: append, read, lock, provenance."""
