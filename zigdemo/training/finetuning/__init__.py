"""Fine-tuning: its settings, its runs as processes, its estimate."""
