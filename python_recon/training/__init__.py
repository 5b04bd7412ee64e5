"""Training of networks on a site's own undersampled scans: no fully sampled data, no reference images.

========= ==================================================================================================
examples  what a network needs of a slice, prepared once
cache     examples in files, made when they are missing, read when their turn comes
splitting which measurements are learned from and which judge
features  what tells scans apart, however they are sampled
trainer   the network itself: best kept, resumed, ended at any moment
team      several processes, one for each GPU
========= ==================================================================================================
"""
