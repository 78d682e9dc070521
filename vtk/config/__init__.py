"""Configuration: strict frozen models, and where each value came from."""
