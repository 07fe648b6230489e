"""Published claims to findings."""
