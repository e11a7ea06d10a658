"""python -m cxr_node"""

from cxr_node.cli import main

main()
