"""The REST server: from a request to its command and back; shctl/server.py has the routes."""
