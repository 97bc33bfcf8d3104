"""What reads prompts and pictures beside the models: small CLIPs, the judge of portraits."""
