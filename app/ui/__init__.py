"""What pages draw with: components, the live panel, charts, labels, formats."""
