"""Records to comparisons, to text and figures."""
