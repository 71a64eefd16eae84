"""The commands of mgn-reid, one a module; each has its click command as `command`."""
