"""What the REST server is made of, by subject."""
