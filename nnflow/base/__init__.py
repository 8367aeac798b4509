"""What every module may use: errors, settings, files, streams, statistics."""
