"""Installation: find a tree, fetch from it, extend its initrd, keep what it boots."""
