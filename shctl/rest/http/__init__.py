"""HTTP below the commands: sockets, connections, threads, request bodies, Hypercorn's settings."""
