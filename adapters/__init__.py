"""How a training loop takes the reward. Until its rooms are built, a loop calls `cinereward.RewardModel` itself."""
