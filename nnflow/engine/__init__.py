"""The ensemble engine: training, polishing, classification and spectra of many runs."""
