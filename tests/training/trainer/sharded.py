"""A run in shards on CPUs, for test_processes: accelerate has FSDP for GPUs alone, so torch's own call stands in.

Run with a recipe of six steps, which two processes stop after three and resume. They meet through a file: a port could
be taken by another program meanwhile, and torchrun gives up on a process that is not heard of for 15 seconds.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import distributed
from torch.distributed.fsdp import fully_shard

from zigdemo.training.trainer.loop import Training
from zigdemo.training.trainer.recipe import load_recipe

PROCESSES = 2


def sharded(self, model, optimizer):
    for block in model.blocks:
        fully_shard(block)
    fully_shard(model)
    group = optimizer.param_groups[0]
    return model, torch.optim.AdamW(model.parameters(), lr=group["lr"], weight_decay=group["weight_decay"])


def work(rank, recipe):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"WORLD_SIZE": str(PROCESSES), "LOCAL_WORLD_SIZE": str(PROCESSES)}
    meeting = Path(recipe).with_name("meeting").as_uri()
    distributed.init_process_group(
        "gloo", init_method=meeting, rank=rank, world_size=PROCESSES, timeout=timedelta(minutes=15)
    )
    Accelerator.prepare = sharded
    half = Training(load_recipe(recipe))
    assert half.accelerator.num_processes == PROCESSES and hasattr(next(half.model.parameters()), "full_tensor")
    half.run(lambda run: run.stop() if run.step == 3 else None)
    assert half.step == 3
    Training(load_recipe(recipe), resume=True).run()
    distributed.destroy_process_group()  # one that leaves without can abort the others


if __name__ == "__main__":
    torch.multiprocessing.spawn(work, (sys.argv[1],), PROCESSES)
