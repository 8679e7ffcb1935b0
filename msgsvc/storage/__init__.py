"""Where messages are kept: the interface that handlers use, and one package for each engine."""
