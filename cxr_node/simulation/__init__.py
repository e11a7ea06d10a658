"""`cxr-node simulate`: what the reading order would do at a site, against first in, first out.

`site` draws what comes, `runs` has it read in both orders and sums up, `shown` and `plot` are what people see.
"""
