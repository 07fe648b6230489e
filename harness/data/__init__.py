"""What lies between files and batches: listings, downloads, the decoded-image cache, transforms."""
