"""Model weights: where they lie, what they must be, and under which licence. (skeleton: H1 owns this file)"""
