"""How the ids of examples, prompts, answers, clusters and preference pairs are written: 128 bits of a SHA-256 in hex.

Half of the digest keeps texts apart as well, and six ids of 64 digits were a sixth of what `curated_examples` takes.
"""

ID_DIGITS = 32
