"""The reading rules, one file per family of ops. Each file registers its functions when it is imported."""
