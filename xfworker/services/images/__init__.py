"""What is done with whole images, block after block: converting, measuring, looking at slices, importing."""
