"""The two training configurations of the sources, as they stand there."""

from typing import Any

FINE_TUNING: dict[str, Any] = {
    "fine_tuning": {
        "base_model": "gpt-4-0125-preview",
        "training": {
            "epochs": 3,
            "batch_size": 4,
            "learning_rate": 2.0e-5,
            "weight_decay": 0.01,
            "warmup_steps": 500,
            "lr_scheduler": "cosine",
            "gradient_accumulation_steps": 8,
        },
        "validation": {
            "split": 0.1,
            "metrics": ["accuracy", "perplexity", "exact_match", "rouge_l", "custom_code_quality"],
        },
        "early_stopping": {"patience": 3, "min_delta": 0.01, "monitor": "val_loss"},
    }
}
FINETUNING: dict[str, Any] = {
    "finetuning": {
        "enabled": True,
        "threshold": 100,
        "base_model": "mistral-7b",
        "output_dir": "models/finetuned",
        "batch_size": 4,
        "learning_rate": "2e-5",  # what YAML makes of 2e-5
        "num_epochs": 3,
    }
}
