"""`python -m tests.benchmarks.scale`: regions of 1 to 1,000 hospitals, simulated from what was measured on one node.

`costs` reads what every step costs, as `costs.toml` says; `region` draws what comes; `flow` plays it through stations
(simpy), `hub` the changes of a region's worklists; `scenarios` says what is played; `arithmetic` is what needs no
playing; `page` and `plot` are what people see, docs/scale.md. It stands here and not below `cxr-node simulate`, since
its figures are those of the benchmarks, which an installed node does not have.
"""
