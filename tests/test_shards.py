"""Two processes train what one does: DistributedDataParallel and FSDP2, masks and saved states too."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from tests import shards


def test_two_processes_equal_one(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [*command, "tests/shards.py", str(tmp_path)],
        cwd=root,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
    )
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for kind in shards.MASKS:
        model = shards.network()
        shards.trained(model, shards.X, shards.Y, kind)
        for wrapper in ("ddp", "fsdp"):
            for rank in ranks:
                for p, q in zip(model.parameters(), rank[wrapper, kind], strict=True):
                    torch.testing.assert_close(p.detach(), q, rtol=0, atol=1e-6)
    assert ranks[0]["loaded"]
    assert ranks[1]["loaded"]
