"""What is in Parley and where it comes from: locks with hashes, images by digest, bills of materials."""
