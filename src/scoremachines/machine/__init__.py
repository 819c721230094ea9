"""The score machine and what surrounds it: attention streams, gradients, baselines, folders."""
