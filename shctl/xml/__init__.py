"""Build and read libvirt's XML; no I/O."""
