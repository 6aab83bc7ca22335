"""What the gateway and the workers agree on: settings, tables, states, storage, the transcript."""
