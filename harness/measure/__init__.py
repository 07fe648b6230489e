"""Pure numbers: embeddings to neighbours, scores, intervals, tests and ranks."""
