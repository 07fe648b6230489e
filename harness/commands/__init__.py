"""One file per verb of the command line, with its own options."""
