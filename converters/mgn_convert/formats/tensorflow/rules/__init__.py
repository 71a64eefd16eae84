"""Rules, one family of ops per file."""
