"""Catalogues of measurements: a folder of ISQ files, and an SNS server over HTTP."""
