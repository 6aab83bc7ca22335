"""`parley wyoming`: Parley as a speech recogniser of Home Assistant, in the Wyoming protocol."""
