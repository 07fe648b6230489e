"""Pure decisions: which classes, which batches, which params, which runs next."""
