"""Where stages run: processes on this machine, torchrun groups, a Dask cluster."""
