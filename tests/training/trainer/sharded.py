"""A run in shards on CPUs, for test_processes: accelerate has FSDP for GPUs alone, so torch's own call stands in.

Run by `torch.distributed.run` with a recipe of six steps, which it stops after three and resumes.
"""

import sys

import torch
from accelerate import Accelerator
from torch.distributed.fsdp import fully_shard

from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import load_recipe


def sharded(self, model, optimizer):
    for block in model.blocks:
        fully_shard(block)
    fully_shard(model)
    group = optimizer.param_groups[0]
    return model, torch.optim.AdamW(model.parameters(), lr=group["lr"], weight_decay=group["weight_decay"])


if __name__ == "__main__":
    Accelerator.prepare = sharded
    half = Training(load_recipe(sys.argv[1]))
    assert hasattr(next(half.model.parameters()), "full_tensor")
    half.run(lambda run: run.stop() if run.step == 3 else None)
    assert half.step == 3
    Training(load_recipe(sys.argv[1]), resume=True).run()
