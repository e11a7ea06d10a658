"""python -m cxr_node.backfill, as `reader` starts it"""

from cxr_node.backfill.reader import run

run()
