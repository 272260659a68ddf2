"""Results → typed blocks → one HTML page."""
