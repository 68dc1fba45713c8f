"""The code part of a stage's key: the normalised static import closure of what the stage runs."""
