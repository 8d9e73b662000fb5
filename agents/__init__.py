"""How an agent uses the critique. Until its rooms are built, an agent reads `RewardBatch.critiques` itself."""
