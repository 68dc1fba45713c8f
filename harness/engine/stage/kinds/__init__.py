"""What each kind of stage does, between its inputs and its output folder.

The plan names the function that runs a stage (``StageSpec.work``), and the code of its module is part of the stage's
key: a module here imports what its own kinds of stages need, and nothing for the others.
"""
