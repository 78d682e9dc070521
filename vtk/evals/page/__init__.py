"""A comparison as one HTML file that people can look through."""
