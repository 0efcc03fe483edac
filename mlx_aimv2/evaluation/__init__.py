"""How well a checkpoint does on data sets, by the protocols of the papers, beside their figures."""
