"""From the crop of a person to a vector: one file an extractor (see `extractor`), and what they are made of."""
