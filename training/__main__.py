"""`python -m training` is `cxr-train`, for torchrun."""

from training.cli import main

main()
