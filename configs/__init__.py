"""The data that makes a score: taxonomy, profiles, curves, the gate's words, the critiques' words."""
