"""Where runs execute, one run to its record, and the conductor of a study."""
