"""Class-conditional inference and the activation-aware mask refinement loss: image tags and saliency."""
