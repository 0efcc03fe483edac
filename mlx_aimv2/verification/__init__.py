"""Whether this port is right on this machine: against goldens, another device, another copy."""
