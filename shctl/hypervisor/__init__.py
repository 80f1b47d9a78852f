"""libvirt: the connection, and wrappers around what it returns."""
