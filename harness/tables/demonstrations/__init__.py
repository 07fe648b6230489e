"""Pages of studies that are computed whole each time and leave no records: schema.Demonstration."""
