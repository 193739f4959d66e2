"""Catalogues of measurements on this machine's disks."""
