"""An agent that learns to repair bugs with sb3-contrib alone, without `netmend train`.

python examples/sb3_agent.py 4096    # environment steps; a minute
"""

import sys

import gymnasium
from sb3_contrib import MaskablePPO

import netmend.env  # noqa: F401  (registers the environment)
from netmend.agents.vec_env import RepairVecEnv
from netmend.env.vector import RepairVectorEnv

BUGS, TRIALS = "tiny", 3


def learned(steps: int) -> MaskablePPO:
    """An agent after so many environment steps on the training bugs."""
    repairs = RepairVecEnv(RepairVectorEnv(8, bugs=BUGS, split="train", trials=TRIALS))
    agent = MaskablePPO(
        "MlpPolicy", repairs, n_steps=16, batch_size=64, learning_rate=1e-3, gamma=0.95, seed=0, device="cpu"
    )
    agent.learn(steps)
    repairs.close()
    return agent


def gains(agent: MaskablePPO | None) -> dict[str, float]:
    """Skill gained on each held-out bug; without an agent by random legal actions."""
    env = gymnasium.make("netmend/Repair-v0", bugs=BUGS, split="held-out", trials=TRIALS)
    env.action_space.seed(0)
    found = {}
    for bug in env.unwrapped.setting.bugs:  # type: ignore[attr-defined]
        observation, info = env.reset(seed=0, options={"bug": bug.id})
        faulty, done = info["skill"], False
        while not done:
            mask = info["action_mask"]
            if agent is None:
                action = env.action_space.sample(mask)
            else:
                action, _ = agent.predict(observation, action_masks=mask, deterministic=True)
            observation, _, terminated, truncated, info = env.step(action)
            done = terminated or truncated
        found[bug.id] = info["best_skill"] - faulty
    env.close()
    return found


if __name__ == "__main__":
    agent = learned(int(sys.argv[1]) if sys.argv[1:] else 4096)
    print("held-out bug          random    agent    skill gained")
    chance, own = gains(None), gains(agent)
    for bug, gain in own.items():
        print(f"{bug:20} {chance[bug]:8.2f} {gain:8.2f}")
