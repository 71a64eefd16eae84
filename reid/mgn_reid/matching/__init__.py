"""People matched by their embeddings: features files, gallery indexes, ranked lists and clusters."""
