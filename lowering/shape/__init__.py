"""Static shapes, shape constants and index width."""
