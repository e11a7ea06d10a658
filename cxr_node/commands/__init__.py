"""The commands that come in groups; each module is one group, and `cxr_node.cli` names them all."""
