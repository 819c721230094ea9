"""Executors: what carries out a pass over a training set elsewhere (`data.reduction`).

`Processes` on this machine, `Ray` on a cluster whose workers may die, `Distributed` under
torchrun. All divide the images into parts as `Divided` does, and merge them in its order, so that
they give its bits. What is sent does not grow with the training set: a pass sends the noisy
images, what an attention has made of them, and a value for each part.
"""
