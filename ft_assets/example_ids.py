"""How the ids of examples, prompts, answers, clusters and preference pairs are written: 128 bits of a SHA-256 in hex.

Half of the digest keeps texts apart as well; with ids of 64 digits `curated_examples` was a sixth larger.
"""

ID_DIGITS = 32
