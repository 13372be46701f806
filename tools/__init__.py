"""Command-line tools: argument handling that calls the library."""
