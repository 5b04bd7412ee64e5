"""From comparisons of methods to the table and the figures of a paper: scores, runs, tables."""
