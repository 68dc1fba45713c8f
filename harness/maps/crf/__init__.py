"""The dense CRF: kernels, permutohedral lattice, mean field on CPU and GPU."""
