"""What every other package uses: errors, names, the model, locks, files, times."""
