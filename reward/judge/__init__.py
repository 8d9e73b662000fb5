"""The judge: a vision-language model that answers the expert questions of the taxonomy, at the price of one pass.

backend.py is the page of its types: read it first. A backend (local.py, served.py) turns what is shown and what is
asked into the probabilities of the labels, or into text; film.py makes verdicts of them, in three modes.
"""
