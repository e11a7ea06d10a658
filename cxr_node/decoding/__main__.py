"""python -m cxr_node.decoding, as `pool` starts it"""

from cxr_node.decoding.process import run

run()
