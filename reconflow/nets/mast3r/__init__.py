"""MASt3R: dense descriptors of two photos that have seen each other.

Leroy, Cabon and Revaud, "Grounding Image Matching in 3D with MASt3R", ECCV 2024 (arXiv 2406.09756); Wang, Leroy, Cabon,
Chidlovskii and Revaud, "DUSt3R: Geometric 3D Vision Made Easy", CVPR 2024 (arXiv 2312.14132).

A forward pass of our own over the tensors of the official checkpoint, written from the papers: the encoder once per
photo, both decoders over batches of pairs, the descriptor head, and nothing that matching does not need.
"""
