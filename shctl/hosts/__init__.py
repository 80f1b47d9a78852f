"""What can be done with hosts: libvirt domains with their disks, ports and consoles."""
