"""Sparse SAM in Lightning, with manual optimization: ``python docs/examples/lightning_manual.py``."""

import lightning
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import ssam

EPOCHS = 5


class Classifier(lightning.LightningModule):
    def __init__(self, samples: tuple[torch.Tensor, torch.Tensor]) -> None:
        super().__init__()
        self.automatic_optimization = False  # SAM takes two gradients a step
        self.samples = samples
        self.model = torch.nn.Sequential(
            torch.nn.Linear(20, 64), torch.nn.BatchNorm1d(64), torch.nn.ReLU(), torch.nn.Linear(64, 4)
        )

    def configure_optimizers(self):
        base = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        sam = ssam.SAM(base, rho=0.1)  # has the groups of its base; Lightning wants the schedule on what is returned
        return [sam], [torch.optim.lr_scheduler.CosineAnnealingLR(sam, EPOCHS)]

    def on_train_epoch_start(self) -> None:
        sam = self.optimizers().optimizer  # ours, inside Lightning's
        sam.masks = ssam.fisher_mask(self.model, cross_entropy, [self.samples], sparsity=0.5)

    def training_step(self, batch, _):
        optimizer, (inputs, targets) = self.optimizers(), batch

        def closure():
            optimizer.zero_grad()
            loss = cross_entropy(self.model(inputs), targets)
            self.manual_backward(loss)
            return loss

        return optimizer.step(closure)

    def on_train_epoch_end(self) -> None:
        self.lr_schedulers().step()


def main() -> torch.nn.Module:
    torch.manual_seed(0)
    x, y = torch.randn(512, 20), torch.randint(4, (512,))
    x[torch.arange(512), y] += 3.0  # something to be learnt
    module, quiet = Classifier((x[:128], y[:128])), dict(logger=False, enable_checkpointing=False)
    trainer = lightning.Trainer(max_epochs=EPOCHS, accelerator="cpu", enable_progress_bar=False, **quiet)
    trainer.fit(module, DataLoader(TensorDataset(x, y), batch_size=64))
    return module.model


if __name__ == "__main__":
    main()
