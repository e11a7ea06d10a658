"""Models: what they say of themselves (`manifest`, `calibration`: free of torch) and what they say of films.

Import `cxr_node.inference.predictor` where films are analysed, and nowhere else: it is what brings torch in.
"""
