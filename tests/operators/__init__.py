"""A package, so that its test_shots.py and another folder's can be told apart."""
