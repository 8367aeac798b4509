"""The stages, one file each; each is a function of a job that writes datasets."""
