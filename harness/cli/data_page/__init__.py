"""The page of ``wsss datasets check --html``: what a data set holds, and each defect with its picture."""
