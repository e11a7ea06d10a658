"""Films are read, decoded, prepared and drawn in processes of their own, beside the one that judges them.

`process` is what one of them does, `line` what is said between the two, `pool` the end of the process that judges. They
load neither torch nor the database. A process that decodes ends with the one that started it, however that ends.
"""
