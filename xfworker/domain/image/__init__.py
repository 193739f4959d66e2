"""Images: what a volume is, how it is described, calibrated and placed in space. Pure; no pixel is touched here."""
