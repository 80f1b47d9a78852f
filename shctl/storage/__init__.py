"""Disks: volumes, images and who uses them."""
