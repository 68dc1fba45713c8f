"""Label uncertainty: boxes for all images, pixel masks for a fixed share of them."""
