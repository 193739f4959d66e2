"""What task scripts see: the documented job, functions and modules."""
