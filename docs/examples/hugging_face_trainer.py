"""Sparse SAM in the Trainer of Hugging Face Transformers: ``python docs/examples/hugging_face_trainer.py``."""

import tempfile

import torch
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

import ssam

EPOCHS = 5


class SAMTrainer(Trainer):
    """Take both passes where the Trainer takes one. ``gradient_accumulation_steps`` above 1 is refused."""

    def training_step(self, *args, **kwargs):
        loss = super().training_step(*args, **kwargs)
        with self.optimizer.optimizer.perturbed():  # ours, inside Accelerate's
            super().training_step(*args, **kwargs)
        return loss


class FisherMask(TrainerCallback):
    def __init__(self, batch: dict[str, torch.Tensor]) -> None:
        self.batch = batch

    def on_epoch_begin(self, args, state, control, model, optimizer, **kwargs):
        def loss_fn(outputs, batch):
            return cross_entropy(outputs.logits, batch["labels"])

        optimizer.optimizer.masks = ssam.fisher_mask(model, loss_fn, [self.batch], sparsity=0.5)


def main() -> torch.nn.Module:
    torch.manual_seed(0)
    words, labels = torch.randint(4, 20, (512, 8)), torch.randint(4, (512,))
    words[:, 0] = labels  # something to be learnt
    data = [{"input_ids": w, "labels": y} for w, y in zip(words, labels, strict=True)]
    sizes = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    model = BertForSequenceClassification(BertConfig(vocab_size=20, num_labels=4, **sizes))

    sam = ssam.SAM(torch.optim.AdamW(model.parameters(), lr=3e-3), rho=0.1)
    schedule = torch.optim.lr_scheduler.LinearLR(sam, 1.0, 0.1, total_iters=EPOCHS * 8)
    quiet = dict(report_to=[], save_strategy="no", logging_strategy="epoch", disable_tqdm=True, use_cpu=True)
    callbacks = [FisherMask({"input_ids": words[:64], "labels": labels[:64]})]
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(folder, num_train_epochs=EPOCHS, per_device_train_batch_size=64, **quiet)
        trainer = SAMTrainer(model, settings, train_dataset=data, optimizers=(sam, schedule), callbacks=callbacks)
        trainer.train()
    for epoch, logged in enumerate(trainer.state.log_history[:EPOCHS], start=1):
        print(f"epoch {epoch}: loss {logged['loss']:.4f}")
    return model


if __name__ == "__main__":
    main()
