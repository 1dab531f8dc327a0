"""Text prompts compared with labelled volumes."""
