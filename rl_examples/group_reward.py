"""A reward in a loop, the shortest real one: sample a group of clips, score the tensors, learn from the advantages.

    python rl_examples/group_reward.py [--epochs 8] [--group 8] [--seed 0]

The "generator" is a toy that renders a drifting picture with some blur and some tremor; its policy is a Gaussian over
the logarithms of the two. Everything around it is what a GRPO loop does with a diffusion model: one prompt a group,
clips as uint8 tensors (T, C, H, W) that never touch a file, advantages within the group, samples whose reward is
missing left out, and a policy gradient step. Watch blur and tremor fall because the reward says so.
"""

from __future__ import annotations

import argparse

import cv2
import numpy as np
import torch

from cinereward import Clip, RewardModel

FPS, FRAMES, HEIGHT, WIDTH = 16, 17, 96, 160
PROMPT = "A slow drift over a mossy wall"


def render(blur: float, tremor: float, rng: np.random.Generator) -> torch.Tensor:
    """Render one clip, uint8 (T, C, H, W). blur: pixels. tremor: pixels."""
    wall = rng.normal(0, 1, (HEIGHT + 40, WIDTH + 60, 3)).astype(np.float32)
    wall = sum(cv2.GaussianBlur(wall, (0, 0), sigma) * sigma for sigma in (1, 3, 9)) * 30 + 120
    frames = []
    for step in range(FRAMES):
        x, y = 10 + step * 1.5 + rng.normal(0, tremor), 20 + rng.normal(0, tremor)
        shift = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
        frame = cv2.warpAffine(wall, shift, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
        frames.append(cv2.GaussianBlur(frame, (0, 0), max(blur, 0.05)))
    stacked = np.clip(np.stack(frames), 0, 255).astype(np.uint8)
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()


def main() -> list[float]:
    """Train the toy and return the mean reward of each epoch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--group", type=int, default=8, help="clips a group")
    parser.add_argument("--learning-rate", type=float, default=0.35)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    reward = RewardModel.from_profile("signal")
    rng = np.random.default_rng(options.seed)
    mean = torch.log(torch.tensor([3.0, 3.0])).requires_grad_()  # blur and tremor in pixels, as logarithms
    spread = torch.tensor([0.4, 0.4])
    optimizer = torch.optim.Adam([mean], lr=options.learning_rate)
    history: list[float] = []
    for epoch in range(options.epochs):
        noise = torch.from_numpy(rng.normal(size=(options.group, 2))).float()
        actions = (mean + spread * noise).detach()
        clips = [
            Clip(render(*action.exp().tolist(), rng), prompt=PROMPT, fps=FPS, group_id=f"epoch-{epoch}")
            for action in actions
        ]
        batch = reward(clips)

        scalar = batch.torch()["scalar"]
        scored = ~torch.isnan(scalar)  # a clip that could not be scored leaves its group; it is not "bad"
        for index in torch.nonzero(~scored).flatten().tolist():
            print(f"  clip {index} left out: {batch.errors[index]}")
        group = scalar[scored]
        advantage = (group - group.mean()) / (group.std() + 1e-4)
        log_prob = torch.distributions.Normal(mean, spread).log_prob(actions[scored]).sum(dim=1)
        loss = -(advantage * log_prob).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        history.append(float(group.mean()))
        blur, tremor = mean.detach().exp().tolist()
        print(f"epoch {epoch}: reward {history[-1]:.3f}  blur {blur:.2f} px  tremor {tremor:.2f} px")
    return history


if __name__ == "__main__":
    main()
