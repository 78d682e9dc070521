"""The published benchmarks: from their official layouts to the one sample schema."""
