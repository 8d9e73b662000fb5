"""Short clips rendered wholly in code, so that the project's examples and tests need no downloaded material."""
