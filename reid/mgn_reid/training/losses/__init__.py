"""What training makes small: classification with margins, triplets of vectors, distance to a centre."""
