"""What shctl costs beside what else one would run; README.md tells how to read it."""
