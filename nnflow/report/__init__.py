"""The report: one page with the answer, the figures and the claims of every study."""
