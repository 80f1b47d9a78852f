"""What shctl costs, compared with other programs; README.md explains the table."""
