"""Many notebooks on one machine or a cluster: ``plan`` → ``cluster`` (Dask distributed) → ``work`` → ``run``."""
