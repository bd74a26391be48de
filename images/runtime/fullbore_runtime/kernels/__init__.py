"""Fused GPU kernels in Triton, each beside a reference in plain PyTorch.

`table` is plain Python and can be imported anywhere; the rest needs torch and triton, which the `cuda` image has.
"""
