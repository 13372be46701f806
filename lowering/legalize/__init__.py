"""What a target takes: splitting, rewriting and, last, refusing."""
