"""Requests to the servers of installation trees."""
